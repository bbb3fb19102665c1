//! What is wrong with an app, all of it, before anything starts.

use std::collections::HashMap;

use crate::app::App;
use crate::error::Failure;
use crate::job::When;
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
    for job in &app.jobs {
        let (kind, place) = (job.when.kind(), &job.declared_at);
        let sentences = job.refusals(settings).into_iter();
        problems.extend(sentences.map(|why| match job.name.as_str() {
            "" => format!("{kind} at {place}: {why}"),
            name => format!("{kind} `{name}` ({place}): {why}"),
        }));
        if let When::OnDemand = job.when {
            problems.extend(app.refusals_of_plan(job));
        }
    }
    problems.extend(app.missing_states());
    // A job on demand alone gives a worker nothing to do, but its program can run it.
    if app.processors.is_empty() && app.jobs.is_empty() && problems.is_empty() {
        problems.push(format!(
            "app `{}` has nothing to run: no processor and no job is registered. If they are in a crate or module of their \
             own, mention it once where `main` is, so that it is linked: `use my_handlers as _;`",
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

/// Processors and jobs that share a name: logs and commands tell them apart by it.
fn doubled(app: &App) -> Vec<String> {
    let processors = app.processors.iter().map(|p| ("processor".to_owned(), &p.name, &p.declared_at));
    let jobs = app.jobs.iter().map(|job| (job.when.kind().to_string(), &job.name, &job.declared_at));
    let mut seen = HashMap::new();
    let mut problems = Vec::new();
    for (kind, name, place) in processors.chain(jobs).filter(|(_, name, _)| !name.is_empty()) {
        match seen.insert(name, (kind.clone(), place)) {
            None => {}
            Some((first, at)) if first == kind => {
                problems.push(format!("two {kind}s are named `{name}`: at {at} and at {place}"));
            }
            Some((first, at)) => {
                problems.push(format!("a {first} and a {kind} are both named `{name}`: at {at} and at {place}"));
            }
        }
    }
    problems
}
