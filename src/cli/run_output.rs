//! `logs RUN_ID`: what a run printed.

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use futures::StreamExt;
use serde_json::json;

use crate::error::{Failure, chain};
#[cfg(feature = "http")]
use crate::http::announced;
use crate::runs::output::{Channel, LogError, LogStore, RunMetadata, StreamOptions};
use crate::runs::{RunId, RunLog, Status};

use super::ask::{self, Asked, Own, code_of, run_argument, run_id};
#[cfg(feature = "http")]
use super::far::{Far, Wanted};
use super::{End, Host, Out};

pub(super) fn command() -> Command {
    let number = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("N").value_parser(value_parser!(u32)).help(help)
    };
    let flag = |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    Command::new("logs")
        .about("What a run printed")
        .arg(run_argument())
        .arg(flag("follow", "Go on with lines as they are printed, until the run ends").short('f'))
        .arg(number("tail", "Only the last N lines"))
        .arg(number("since", "From line N on; the first one is 0"))
        .arg(flag("stderr", "Warnings and errors, in place of what it says else"))
        .arg(flag("exit-code", "Exit as the run did, if it has ended"))
        .arg(ask::url())
}

/// Which lines are asked for.
struct Lines<'a> {
    id: &'a RunId,
    channel: Channel,
    options: StreamOptions,
}

pub(super) async fn run(matches: &ArgMatches, host: &dyn Host, out: &mut Out) -> Result<(), End> {
    let number = |name: &str| matches.get_one::<u32>(name).map(|number| *number as usize);
    let options = StreamOptions {
        follow: matches.get_flag("follow"),
        since_line: number("since").unwrap_or(0),
        max_lines: None,
        tail: number("tail"),
    };
    let channel = if matches.get_flag("stderr") { Channel::Stderr } else { Channel::Stdout };
    let id = run_id(matches);
    let lines = Lines { id: &id, channel, options };
    let ended = match Asked::by(matches, host)? {
        #[cfg(feature = "http")]
        Asked::Far(far) => from_far(&far, &lines, out).await?,
        Asked::Own(own) => from_own(&own, &lines, host, out).await?,
    };
    match ended {
        Some((exit_code, status)) if matches.get_flag("exit-code") => match code_of(exit_code, status) {
            0 => Ok(()),
            code => Err(End::Exit(code)),
        },
        _ => Ok(()),
    }
}

type Ended = Option<(Option<i32>, Status)>;

fn tell(out: &mut Out, number: usize, text: &str) -> Result<(), End> {
    match out.is_json() {
        true => out.object(&json!({ "line": number, "text": text })),
        // A tabulator moves the cursor as well, but it is what columns are made of.
        false => out.line(&text.replace('\t', "    ")),
    }
}

#[cfg(feature = "http")]
async fn from_far(far: &Far, lines: &Lines<'_>, out: &mut Out) -> Result<Ended, End> {
    let StreamOptions { follow, since_line: since, tail, .. } = lines.options;
    let wanted = Wanted { channel: lines.channel, follow, since, tail };
    let complete = far.output(lines.id, wanted, |number, text| tell(out, number, text)).await?;
    Ok(complete.map(|complete| (complete.exit_code, complete.status)))
}

async fn from_own(own: &Own<'_>, lines: &Lines<'_>, host: &dyn Host, out: &mut Out) -> Result<Ended, End> {
    let logs = own.logs()?;
    let mut resumed = None;
    if let Some(logs) = &logs {
        resumed = resumed_elsewhere(&**logs, own, lines.id).await?;
        if resumed.is_none()
            && let Some(ended) = from_store(&**logs, lines, out).await?
        {
            return Ok(ended);
        }
    }
    // They are not here, or not all of them; the document says who has them.
    let was_here = resumed.is_some();
    let document = match resumed {
        Some(document) => document,
        None => own.stores().await?.run_logs.get_run_log_by_id(lines.id, false).await.map_err(ask::failed)?,
    };
    let not_here = |why: String| match was_here {
        true => Failure::NotFound(format!(
            "run {} was resumed after what is here (activation {} now), and what it printed since is not{why}",
            lines.id, document.activation
        )),
        false => Failure::NotFound(format!("the lines of run {} are not here{why}", lines.id)),
    };
    #[cfg(feature = "http")]
    let why = {
        let worker = &document.worker;
        // Never where the document says: our token goes along.
        let address = match worker.log_url {
            Some(_) => announced::address_of(worker, &*host.broker().await?).await?,
            None => Err("which answers no HTTP"),
        };
        match address {
            Ok(url) => {
                return from_far(&Far::new(url, host.settings().settings.http_token.clone()), lines, out).await;
            }
            Err(why) => format!(
                ": they are with worker `{}`, {why} (setting `http`; log_dir says where lines are kept, log_ship_dest where they \
                 are copied to)",
                worker.id
            ),
        }
    };
    #[cfg(not(feature = "http"))]
    let why = format!(": worker `{}` of app `{}` has them", document.worker.id, host.app());
    if let (true, Some(logs)) = (was_here, &logs) {
        // Better than nothing; what is missing is said below, and by the exit code.
        from_store(&**logs, lines, out).await?;
    }
    Err(not_here(why).into())
}

/// The document of a run that was resumed after what the log here says of it: elsewhere, as the log would know else.
async fn resumed_elsewhere(logs: &dyn LogStore, own: &Own<'_>, id: &RunId) -> Result<Option<RunLog>, End> {
    let metadata = logs.read_metadata(id).await.map_err(unreadable)?;
    let Some(metadata) = metadata.filter(RunMetadata::has_ended) else { return Ok(None) };
    // Who cannot be asked, or knows nothing, is no reason not to show what is here.
    let document = match own.stores().await {
        Ok(stores) => stores.run_logs.get_run_log_by_id(id, false).await.ok(),
        Err(_) => None,
    };
    Ok(document.filter(|document| metadata.is_outlived_by(document.activation)))
}

fn unreadable(error: LogError) -> End {
    End::Refused(format!("the lines cannot be read: {}", chain(&error)))
}

/// None if the store has never heard of the run.
async fn from_store(logs: &dyn LogStore, lines: &Lines<'_>, out: &mut Out) -> Result<Option<Ended>, End> {
    let mut stream = logs.stream(lines.id, lines.channel, lines.options);
    while let Some(line) = stream.next().await {
        match line {
            Ok(line) => tell(out, line.number, &line.text)?,
            Err(LogError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(unreadable(error)),
        }
    }
    let metadata = logs.read_metadata(lines.id).await.map_err(unreadable)?;
    Ok(Some(metadata.filter(|metadata| metadata.has_ended()).map(|metadata| (metadata.exit_code, metadata.status))))
}
