//! Without the feature `testing` a test says what it needs.
#[runnel::test] //~ `#[runnel::test]` needs the feature `testing` of runnel
async fn without_it() -> runnel::Result<()> {
    Ok(())
}

fn main() {}
