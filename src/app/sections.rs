//! What `runnel.toml` says of jobs on demand, and what is wrong with that.

use crate::error::Failure;
use crate::job::{JobSection, JobSpec, TraceInfo};
use crate::nearest::did_you_mean;
use crate::settings::{Overrides, Sections, shown};

use super::App;
use super::runner::is_on_demand;

impl App {
    /// What cannot work about a job under what `runnel.toml` says of it, and not without that.
    pub(crate) fn refusals_of_plan(&self, job: &JobSpec) -> Vec<String> {
        let section = match self.job_section(&job.name) {
            Ok(section) => section,
            Err(failure) => return vec![failure.to_string()],
        };
        let plan = job.plan.over(&section);
        let mut refusals = match job.plan.retry {
            Some(_) => Vec::new(), // Looked at already.
            None => plan.retry.refusals(),
        };
        if let TraceInfo::In(name) = &plan.store_trace_info {
            refusals.extend(self.trace_stores.why_not(name));
        }
        refusals.into_iter().map(|why| format!("job `{}` ({}): {why}", job.name, job.declared_at)).collect()
    }

    /// What is to be said of sections `[job.NAME]` of jobs that this app does not have. A file may be for several apps.
    pub(crate) fn sections_of_nobody(&self, sections: &Sections) -> Vec<String> {
        let jobs = || self.jobs.iter().filter(|job| is_on_demand(job)).map(|job| job.name.as_str());
        let unknown = sections.jobs.iter().filter(|(name, _)| !jobs().any(|job| job == *name));
        let said = unknown.map(|(name, section)| {
            let (name, near) = (shown(name), did_you_mean(name, jobs()));
            let app = self.name();
            format!("{}: app `{app}` has no job on demand `{name}`: its section has no effect{near}", section.origin)
        });
        said.collect()
    }

    /// What `[job.NAME]` of `runnel.toml` says.
    pub(crate) fn job_section(&self, name: &str) -> Result<JobSection, Failure> {
        let sections = self.settings(&Overrides::new())?.sections;
        let Some(section) = sections.jobs.get(name) else { return Ok(JobSection::default()) };
        section.table.clone().try_into().map_err(|error: toml::de::Error| {
            // What the file says is not repeated: it may hold a password.
            Failure::Invalid(format!("{}: section `[job.{name}]`: {}", section.origin, error.message()))
        })
    }
}
