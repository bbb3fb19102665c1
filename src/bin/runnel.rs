//! Looks at, feeds and steers the streams of any runnel app by name: `runnel --app shop status`.

use std::process::ExitCode;

fn main() -> ExitCode {
    runnel::cli::main()
}
