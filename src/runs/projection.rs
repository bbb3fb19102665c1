//! The shapes in which lines of the task log can be kept where not every column is wanted, as in a CSV file.
//!
//! Each is a plain record of some columns of a [`TaskLogEvent`], and names them in order.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Action, Level, RunId, TaskLogEvent};

/// A choice of columns.
pub trait RecordModel: for<'a> From<&'a TaskLogEvent> + Serialize + Send + Sync + 'static {
    /// Its name, as configuration writes it.
    const NAME: &'static str;
    /// The columns, in their order.
    const COLUMNS: &'static [&'static str];
}

macro_rules! models {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
            pub struct $name {
                $(#[doc = concat!("As in [`TaskLogEvent::", stringify!($field), "`].")] pub $field: $type,)*
            }

            impl From<&TaskLogEvent> for $name {
                fn from(event: &TaskLogEvent) -> Self {
                    Self { $($field: event.$field.clone(),)* }
                }
            }

            impl RecordModel for $name {
                const NAME: &'static str = stringify!($name);
                const COLUMNS: &'static [&'static str] = &[$(stringify!($field),)*];
            }
        )*

        /// The models by name: what configuration may choose from.
        pub(crate) const MODELS: &[(&str, &[&str])] = &[$(($name::NAME, $name::COLUMNS),)*];
    };
}

models! {
    /// What questions about a task need at least.
    MinimalRecord {
        task_name: String,
        action: Action,
        created: f64,
    }
    /// With what a line of a log has: level, message, error, and who wrote it.
    LogRecord {
        task_name: String,
        action: Action,
        created: f64,
        level: Level,
        message: String,
        exc_text: Option<String>,
        worker_id: String,
        host: String,
    }
    /// A [`LogRecord`] with times.
    TaskLogRecord {
        task_name: String,
        action: Action,
        created: f64,
        level: Level,
        message: String,
        exc_text: Option<String>,
        worker_id: String,
        host: String,
        start: Option<DateTime<Utc>>,
        end: Option<DateTime<Utc>>,
        runtime: Option<f64>,
    }
    /// A [`MinimalRecord`] that tells runs apart.
    MinimalRunRecord {
        run_id: RunId,
        task_name: String,
        action: Action,
        created: f64,
    }
    /// A [`LogRecord`] that tells runs apart.
    RunRecord {
        run_id: RunId,
        task_name: String,
        action: Action,
        created: f64,
        level: Level,
        message: String,
        exc_text: Option<String>,
        worker_id: String,
        host: String,
    }
    /// A [`TaskLogRecord`] that tells runs apart.
    TaskRunRecord {
        run_id: RunId,
        task_name: String,
        action: Action,
        created: f64,
        level: Level,
        message: String,
        exc_text: Option<String>,
        worker_id: String,
        host: String,
        start: Option<DateTime<Utc>>,
        end: Option<DateTime<Utc>>,
        runtime: Option<f64>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members<M: RecordModel>(event: &TaskLogEvent) -> Vec<String> {
        let record = serde_json::to_value(M::from(event)).unwrap();
        let all = serde_json::to_value(event).unwrap();
        for (name, value) in record.as_object().unwrap() {
            assert_eq!(Some(value), all.get(name), "{}.{name}", M::NAME);
        }
        record.as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn each_model_holds_what_its_columns_name_and_nothing_else() {
        let event = TaskLogEvent::new("t", Action::Fail, RunId::fresh());
        let check = |members: Vec<String>, columns: &[&str]| {
            let mut columns = columns.to_vec();
            columns.sort_unstable();
            assert_eq!(members, columns);
        };

        check(members::<MinimalRecord>(&event), MinimalRecord::COLUMNS);
        check(members::<LogRecord>(&event), LogRecord::COLUMNS);
        check(members::<TaskLogRecord>(&event), TaskLogRecord::COLUMNS);
        check(members::<MinimalRunRecord>(&event), MinimalRunRecord::COLUMNS);
        check(members::<RunRecord>(&event), RunRecord::COLUMNS);
        check(members::<TaskRunRecord>(&event), TaskRunRecord::COLUMNS);
    }
}
