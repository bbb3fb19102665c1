//! `completions`: a script for a shell, to stdout.

use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::Shell;

use super::{End, Names, Out};

pub(super) fn command() -> Command {
    Command::new("completions")
        .about("Print a completion script: completions bash > ~/.local/share/bash-completion/completions/PROGRAM")
        .arg(Arg::new("shell").value_name("SHELL").value_parser(value_parser!(Shell)).required(true))
}

pub(super) fn run(matches: &ArgMatches, names: &Names, out: &mut Out) -> Result<(), End> {
    let shell = *matches.get_one::<Shell>("shell").expect("clap asks for the shell");
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::command(names), names.program.clone(), &mut script);
    out.raw(&String::from_utf8_lossy(&script))
}
