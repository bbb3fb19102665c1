//! What is wrong with an app, all of it, before anything starts.

use std::collections::HashMap;

use crate::app::App;
use crate::error::Failure;
use crate::settings::{Named, Settings, check_name};
use crate::stream::facts;

/// Refuses an app that cannot work: bad and doubled names, impossible options, missing states, nothing to run.
pub(crate) fn check(app: &App, settings: &Settings) -> Result<(), Failure> {
    let mut problems = app.refusals.clone();
    problems.extend(check_name(Named::App, app.name()).err().map(|e| e.to_string()));
    for stream in &app.streams {
        problems.extend(facts::declared(stream, settings).err().map(|e| e.to_string()));
    }
    problems.extend(doubled(app));
    for processor in &app.processors {
        let place = &processor.declared_at;
        if processor.name.is_empty() {
            problems.push(format!(
                "the processor of stream `{}` at {place} is a closure and has no name: add .name(\"..\")",
                processor.stream.name
            ));
        } else if let Err(error) = check_name(Named::Processor, &processor.name) {
            problems.push(format!("{error} ({place})"));
        }
        if let Some(why) = processor.refusal(settings) {
            problems.push(format!("processor `{}` ({place}): {why}", processor.name));
        }
    }
    problems.extend(app.missing_states());
    if app.processors.is_empty() && problems.is_empty() {
        problems.push(format!(
            "app `{}` has nothing to run: no processor is registered. If they are in a crate or module of their own, mention it \
             once where `main` is, so that it is linked: `use my_handlers as _;`",
            app.name()
        ));
    }
    match problems.len() {
        0 => Ok(()),
        1 => Err(Failure::Invalid(problems.remove(0))),
        n => Err(Failure::Invalid(format!(
            "{n} things are wrong with app `{}`:\n  - {}",
            app.name(),
            problems.join("\n  - ")
        ))),
    }
}

/// Processors that share a name.
fn doubled(app: &App) -> Vec<String> {
    let mut seen = HashMap::new();
    let mut problems = Vec::new();
    for processor in app.processors.iter().filter(|p| !p.name.is_empty()) {
        if let Some(first) = seen.insert(&processor.name, &processor.declared_at) {
            problems.push(format!(
                "two processors are named `{}`: at {first} and at {}",
                processor.name, processor.declared_at
            ));
        }
    }
    problems
}
