//! What a job on demand is given: its input, a JSON object by the names of its parameters.
//!
//! A parameter is either asked for ([`RunContext`], [`State`]) or given. Which one it is, its type says: what can be asked
//! for cannot be read from JSON, so no type is both, whatever it is called where the function is written.

use std::any::TypeId;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::JobParts;
use crate::error::Error;
use crate::nearest::did_you_mean;
use crate::processor::State;
use crate::runs::{Input, RunContext, exposing, input_parameter};

/// A parameter that is given, or the whole input where it has no name.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct InputSpec {
    pub(crate) name: Option<&'static str>,
    type_name: &'static str,
    /// Reads the value, and writes it again as it may be kept.
    kept: fn(&Value) -> Result<Value, serde_json::Error>,
}

/// Something that a job on demand may have as a parameter: what can be asked for, or a value of its input.
#[diagnostic::on_unimplemented(
    message = "a job cannot take `{Self}`",
    label = "expected `RunContext`, `State<T>`, or a value of its input",
    note = "values of a job's input are `Serialize + Deserialize + Send`, and owned",
    note = "values of your own are held by the app: ask for `State<{Self}>`, and give it with `App::state(..)`"
)]
pub trait JobParameter: Sized + Send + 'static {
    /// The parameters that are given, this one before the rest.
    #[doc(hidden)]
    type Before<Rest>;

    /// The state it needs the app to hold.
    #[doc(hidden)]
    fn needs() -> Option<(TypeId, &'static str)> {
        None
    }

    /// What is given, if it is.
    #[doc(hidden)]
    fn input(name: Option<&'static str>) -> Option<InputSpec>;

    /// Takes it.
    #[doc(hidden)]
    fn take(parts: &JobParts<'_>, name: Option<&str>) -> Result<Self, Error>;
}

impl JobParameter for RunContext {
    type Before<Rest> = Rest;

    fn input(_: Option<&'static str>) -> Option<InputSpec> {
        None
    }

    fn take(parts: &JobParts<'_>, _: Option<&str>) -> Result<Self, Error> {
        super::JobExtract::extract(parts)
    }
}

impl<T: Send + Sync + 'static> JobParameter for State<T> {
    type Before<Rest> = Rest;

    fn needs() -> Option<(TypeId, &'static str)> {
        <Self as super::JobExtract>::needs()
    }

    fn input(_: Option<&'static str>) -> Option<InputSpec> {
        None
    }

    fn take(parts: &JobParts<'_>, _: Option<&str>) -> Result<Self, Error> {
        super::JobExtract::extract(parts)
    }
}

// It does not meet the two above: neither can be read from JSON, and nobody else could make them so.
#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + Send + 'static> JobParameter for T {
    type Before<Rest> = (T, Rest);

    fn input(name: Option<&'static str>) -> Option<InputSpec> {
        let kept = |value: &Value| serde_json::to_value(T::deserialize(value)?);
        Some(InputSpec { name, type_name: std::any::type_name::<T>(), kept })
    }

    fn take(parts: &JobParts<'_>, name: Option<&str>) -> Result<Self, Error> {
        let values = parts.run.input_values();
        let read = match name {
            Some(name) => T::deserialize(values.get(name).unwrap_or(&Value::Null)),
            None => T::deserialize(Value::Object(values.clone())),
        };
        read.map_err(|error| format!("the input of job `{}` cannot be read: {error}", parts.run.task_name()).into())
    }
}

/// The values of a job's input: what a call gives, by the types of the job's parameters.
pub trait Inputs: 'static {
    /// Nothing for no parameter, its value for one, a tuple for more.
    type Given: Send;

    /// As an object by name.
    #[doc(hidden)]
    fn object(given: Self::Given, names: &[&str]) -> Result<Map<String, Value>, serde_json::Error>;
}

impl Inputs for () {
    type Given = ();

    fn object((): (), _: &[&str]) -> Result<Map<String, Value>, serde_json::Error> {
        Ok(Map::new())
    }
}

macro_rules! nested {
    () => { () };
    ($first:ident $($rest:ident)*) => { ($first, nested!($($rest)*)) };
}

macro_rules! given {
    ($only:ident) => { $only };
    ($($several:ident)*) => { ($($several,)*) };
}

macro_rules! inputs {
    ($($value:ident $n:ident),*) => {
        impl<$($value: Serialize + Send + 'static),*> Inputs for nested!($($value)*) {
            type Given = given!($($value)*);

            fn object(given: Self::Given, names: &[&str]) -> Result<Map<String, Value>, serde_json::Error> {
                let given!($($n)*) = given;
                // The job itself is to have its secrets.
                let values = exposing(|| Ok::<_, serde_json::Error>([$(serde_json::to_value(&$n)?),*]))?;
                Ok(names.iter().map(|name| (*name).to_owned()).zip(values).collect())
            }
        }
    };
}

inputs!(A a);
inputs!(A a, B b);
inputs!(A a, B b, C c);
inputs!(A a, B b, C c, D d);
inputs!(A a, B b, C c, D d, E e);
inputs!(A a, B b, C c, D d, E e, F f);

/// Reads what a job is given, before anything of it runs. The text says what is wrong with it.
pub(crate) fn read_input(specs: &[InputSpec], mut given: Map<String, Value>) -> Result<Input, String> {
    if let [InputSpec { name: None, type_name, kept }] = specs {
        let whole = Value::Object(given);
        let written = kept(&whole).map_err(|error| format!("the input is no `{}`: {error}", short(type_name)))?;
        let (Value::Object(values), Value::Object(kept)) = (whole, written) else {
            return Err(format!("`{}` is no input: it must be written as an object", short(type_name)));
        };
        let parameters = kept.into_iter().map(|(name, value)| {
            let parameter = input_parameter(&name, values.get(&name).unwrap_or(&Value::Null), value);
            (name, parameter)
        });
        return Ok(Input { kept: parameters.collect(), values });
    }
    let mut input = Input::default();
    for spec in specs {
        let name = spec.name.unwrap_or_default();
        let value = given.remove(name);
        let is_missing = value.is_none();
        // What may be missing can be read from nothing: an `Option`.
        let value = value.unwrap_or_default();
        let kept = (spec.kept)(&value).map_err(|error| match is_missing {
            true => format!("parameter `{name}` ({}) is missing", short(spec.type_name)),
            false => format!("parameter `{name}` is no `{}`: {error}", short(spec.type_name)),
        })?;
        input.kept.insert(name.to_owned(), input_parameter(name, &value, kept));
        input.values.insert(name.to_owned(), value);
    }
    match given.keys().next() {
        None => Ok(input),
        Some(unknown) => {
            let near = did_you_mean(unknown, specs.iter().filter_map(|spec| spec.name));
            Err(format!("there is no parameter `{}`{near}", crate::settings::shown(unknown)))
        }
    }
}

/// What the texts of a command line mean, by the types of the parameters in their order.
pub(crate) fn read_positional(specs: &[InputSpec], texts: &[String]) -> Result<Map<String, Value>, String> {
    if texts.is_empty() {
        return Ok(Map::new());
    }
    if let [InputSpec { name: None, .. }] = specs {
        return Err("the input is an object: give it with --input '{..}'".into());
    }
    if texts.len() > specs.len() {
        return Err(format!("{} values are given, and it takes {}", texts.len(), specs.len()));
    }
    let values = specs.iter().zip(texts).map(|(spec, text)| {
        let as_text = Value::String(text.clone());
        // A text that the parameter takes as it stands is meant as it stands: `42` may be a name.
        let value = match (spec.kept)(&as_text) {
            Ok(_) => as_text,
            Err(_) => serde_json::from_str(text).unwrap_or(as_text),
        };
        (spec.name.unwrap_or_default().to_owned(), value)
    });
    Ok(values.collect())
}

/// A type's name without its path, and without those of its parameters.
fn short(type_name: &str) -> String {
    let mut short = String::new();
    for part in type_name.split_inclusive(['<', '>', ',', ' ', '(', ')', '&']) {
        short.push_str(part.rsplit("::").next().unwrap_or(part));
    }
    short
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;
    use crate::runs::{Parameter, SecretString};

    fn specs() -> Vec<InputSpec> {
        let day = <chrono::NaiveDate as JobParameter>::input(Some("day"));
        let count = <u32 as JobParameter>::input(Some("count"));
        let region = <Option<String> as JobParameter>::input(Some("region"));
        let run = <RunContext as JobParameter>::input(Some("run"));
        [run, day, count, region].into_iter().flatten().collect()
    }

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn texts_of_a_command_line_are_read_by_the_types_in_their_order() {
        let texts = ["2026-11-22", "3", "42"].map(str::to_owned);
        let given = read_positional(&specs(), &texts).unwrap();
        assert_eq!(Value::Object(given), json!({"day": "2026-11-22", "count": 3, "region": "42"}));
        assert!(read_positional(&specs(), &["a", "b", "c", "d"].map(str::to_owned)).is_err());
    }

    #[test]
    fn what_is_wrong_with_an_input_is_told_by_name() {
        for (given, why) in [
            (json!({"count": 1}), "parameter `day` (NaiveDate) is missing"),
            (json!({"day": "x", "count": 1}), "parameter `day` is no `NaiveDate`"),
            (json!({"day": "2026-11-22", "count": -1}), "parameter `count` is no `u32`"),
            (
                json!({"day": "2026-11-22", "count": 1, "regio": 1}),
                "there is no parameter `regio`; did you mean `region`?",
            ),
        ] {
            let told = read_input(&specs(), object(given)).unwrap_err();
            assert!(told.contains(why), "{told}");
        }
        let input = read_input(&specs(), object(json!({"day": "2026-11-22", "count": 1}))).unwrap();
        assert_eq!(input.values["region"], Value::Null, "an option may be missing");
    }

    #[test]
    fn a_secret_reaches_the_job_and_nothing_that_is_kept() {
        #[derive(Serialize, Deserialize)]
        struct Login {
            user: String,
            word: SecretString,
            api_key: String,
        }
        let spec = <Login as JobParameter>::input(None).unwrap();
        let login = Login { user: "ann".into(), word: SecretString::new("canary"), api_key: "canary".into() };
        let given = object(exposing(|| serde_json::to_value(&login)).unwrap());

        let input = read_input(&[spec], given).unwrap();

        assert_eq!(input.values["word"], "canary");
        assert_eq!(input.kept["user"], Parameter::from("ann"));
        assert!(
            matches!(input.kept["word"], Parameter::Secret(_)) && matches!(input.kept["api_key"], Parameter::Secret(_))
        );
        assert!(!format!("{:?} {}", input.kept, serde_json::to_string(&input.kept).unwrap()).contains("canary"));
    }
}
