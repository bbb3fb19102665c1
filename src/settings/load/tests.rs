//! Where values come from, which of them holds, and how bad ones are refused.

use super::*;
use crate::settings::LogFormat;

#[derive(Default)]
struct Given {
    command_line: Overrides,
    code: Overrides,
    environment: Vec<(String, OsString)>,
    file: Option<&'static str>,
}

impl Given {
    fn env(mut self, var: &str, value: &str) -> Self {
        self.environment.push((var.into(), value.into()));
        self
    }

    fn file(mut self, text: &'static str) -> Self {
        self.file = Some(text);
        self
    }

    fn code(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.code.set(name, value);
        self
    }

    fn command_line(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.command_line.set(name, value);
        self
    }

    fn load(self) -> Result<Loaded, Failure> {
        let file = self.file.map(|text| (PathBuf::from("runnel.toml"), text.to_owned()));
        let Self { command_line, code, environment, .. } = &self;
        merge(Sources { command_line, code, environment: environment.clone(), file }, Vec::new())
    }

    fn refusal(self) -> String {
        self.load().unwrap_err().to_string()
    }
}

#[test]
fn without_any_source_the_defaults_hold() {
    let loaded = Given::default().load().unwrap();

    assert_eq!(loaded.settings, Settings::default());
    assert!(loaded.origin.values().all(|origin| *origin == Origin::Default));
    assert!(!loaded.names_redis() && loaded.warnings.is_empty());
}

#[test]
fn each_source_covers_the_weaker_ones() {
    let file = || Given::default().file("# ours\nmax_crashes = 2\n");
    let env = || file().env("RUNNEL_MAX_CRASHES", "4");
    let code = || env().code("max_crashes", 5u32);
    let line = || code().command_line("max_crashes", "6");

    let steps = [file().load(), env().load(), code().load(), line().load()].map(Result::unwrap);

    assert_eq!(steps.each_ref().map(|loaded| loaded.settings.max_crashes), [2, 4, 5, 6]);
    assert_eq!(
        steps.each_ref().map(|loaded| loaded.origin_of("max_crashes").to_string()),
        ["runnel.toml:2", "RUNNEL_MAX_CRASHES", "code", "command line"]
    );
}

#[test]
fn a_file_may_give_values_in_the_types_of_toml() {
    let loaded = Given::default()
        .file(
            "default_partition_count = 0x20\ndefault_partition_size = 50_000\ndefault_grace_period = 9.5\n\
             allow_eviction = true\nlog_format = 'json'\ndefault_start = 1970-01-01T00:00:01Z\nprefetch_bytes = '1MiB'\n",
        )
        .load()
        .unwrap()
        .settings;

    assert_eq!((loaded.default_partition_count, loaded.default_partition_size), (32, 50_000));
    assert_eq!(loaded.default_grace_period, Duration::from_millis(9_500));
    assert_eq!((loaded.allow_eviction, loaded.log_format), (true, LogFormat::Json));
    assert_eq!(loaded.prefetch_bytes, 1 << 20);
    assert!(matches!(loaded.default_start, crate::broker::Start::After(_)));
}

#[test]
fn every_problem_is_told_at_once_with_its_place() {
    let refused = Given::default()
        .file("log_levle = 'info'\nmax_crashes = -1\nslot_groups = [1]\n[warehouse]\na = 1\n")
        .env("RUNNEL_ON_FULL", "explode")
        .env("RUNNEL_DEFAULT_GRACE_PERIOD", "1s")
        .code("prefetch", 3u32)
        .command_line("default_lock_expiry", Duration::from_millis(10))
        .refusal();

    for part in [
        "for 9 reasons:",
        "runnel.toml:1: there is no setting `log_levle`; did you mean `log_level`?",
        "runnel.toml:2: max_crashes is `-1`: expected a whole number, not negative",
        "runnel.toml:3: slot_groups is an array: expected one value",
        "runnel.toml:4: there is no setting `warehouse`",
        "RUNNEL_ON_FULL is `explode`: expected `wait`, `fail` or `drop_oldest`",
        "code: there is no setting `prefetch`",
        "`default_lock_expiry` is 10ms: it must be at least 500ms and at most 86400s (default_lock_expiry: command line)",
        "must be shorter than `default_grace_period` (1s) (default_read_timeout: default, default_grace_period: \
         RUNNEL_DEFAULT_GRACE_PERIOD)",
    ] {
        assert!(refused.contains(part), "{part}\nin\n{refused}");
    }
}

#[test]
fn a_file_that_is_no_toml_is_refused_with_its_line_and_not_quoted() {
    let refused = Given::default().file("log_level = 'info'\nredis_url = redis://:canary@h\n").refusal();

    assert!(refused.contains("runnel.toml:2 is not TOML"), "{refused}");
    assert!(!refused.contains("canary"), "{refused}");
}

#[test]
fn an_unknown_variable_warns_with_the_nearest_name() {
    let loaded = Given::default()
        .env("RUNNEL_REDIS_URI", "redis://:canary@h")
        .env("RUNNEL_CONFG", "x")
        .env("RUNNEL_DEFAULT_HASHER", "x")
        .env("RUNNEL_log_level", "debug")
        .load()
        .unwrap();

    let warnings = loaded.warnings.join("\n");
    for part in
        ["mean `RUNNEL_REDIS_URL`?", "mean `RUNNEL_CONFIG`?", "RUNNEL_DEFAULT_PARTITIONER", "mean `RUNNEL_LOG_LEVEL`?"]
    {
        assert!(warnings.contains(part), "{part}\nin\n{warnings}");
    }
    assert!(!warnings.contains("canary"));
    assert_eq!(loaded.settings, Settings::default());
}

#[test]
fn variables_of_other_parts_are_known() {
    let loaded = Given::default()
        .env("RUNNEL_CONFIG", "x.toml")
        .env("RUNNEL_TEST_STRICT", "1")
        .env("RUNNEL_BENCH_ROUNDS", "9")
        .load()
        .unwrap();

    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
}

#[cfg(unix)]
#[test]
fn a_value_that_is_no_text_is_refused_by_name() {
    use std::os::unix::ffi::OsStringExt;
    let mut given = Given::default();
    given.environment.push(("RUNNEL_KEY_PREFIX".into(), OsString::from_vec(vec![0xff])));

    assert!(given.refusal().contains("RUNNEL_KEY_PREFIX is not UTF-8"));
}

#[test]
fn a_password_shows_in_no_output() {
    for url in ["redis://:canary@h", "redis://canary@h", "unix:///s?pass=canary", "redis://u:ca?canary@h"] {
        let loaded = Given::default().env("RUNNEL_REDIS_URL", url).load().unwrap();
        let shown: String = TABLE.iter().map(|setting| setting.show(&loaded.settings)).collect();
        assert!(!shown.contains("canary") && !format!("{loaded:?}").contains("canary"), "{url}");
        assert_eq!(loaded.settings.redis_url.unwrap().expose(), url);
    }
    for bad in [":canary@h:6379", "canary", "redis://:canary@h h"] {
        let given = Given::default().code("redis_url", bad).env("RUNNEL_MAX_CRASHES", "redis://:canary@h");
        assert!(!format!("{:?}", given.code).contains("canary"));
        let refused = given.refusal();
        assert!(!refused.contains("canary"), "{refused}");
    }
}

/// What a store of that type is told.
fn told(loaded: &Loaded, kind: &str) -> Vec<(String, String, String)> {
    let section = &loaded.sections.run_log_store;
    let config = section.config(kind);
    let told = config.iter();
    told.map(|(name, value)| (name.clone(), value.to_string(), section.origin_of(kind, name).to_string())).collect()
}

const STORE: &str =
    "[run_log_store]\ntype = \"sqlite\"\n[run_log_store.config]\npath = \"runs.db\"\nretention_days = 7\n";

#[test]
fn the_section_of_a_store_is_kept_with_where_each_value_came_from() {
    let loaded = Given::default().file(STORE).env("RUNNEL_RUN_LOG_STORE__RETENTION_DAYS", "9").load().unwrap();

    assert_eq!(loaded.sections.run_log_store.kind(), Some("sqlite"));
    assert_eq!(loaded.sections.run_log_store.origin().to_string(), "runnel.toml:2");
    let told = told(&loaded, "sqlite");
    let told: Vec<[&str; 3]> = told.iter().map(|(a, b, c)| [&**a, &**b, &**c]).collect();
    let days = ["retention_days", "9", "RUNNEL_RUN_LOG_STORE__RETENTION_DAYS"];
    assert_eq!(told, [["path", "\"runs.db\"", "runnel.toml:4"], days]);
    assert!(!format!("{loaded:?}").contains("runs.db"), "values may be secrets");
}

#[test]
fn what_a_source_says_of_the_store_it_names_is_not_meant_for_another_one() {
    let url = ("RUNNEL_RUN_LOG_STORE__CONNECTION_STRING", "postgresql://u:p@h/db");
    let loaded = Given::default().file(STORE).env(url.0, url.1).code("run_log_store", "postgres").load().unwrap();

    assert_eq!(loaded.sections.run_log_store.kind(), Some("postgres"));
    let told = told(&loaded, "postgres");
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((&*told[0].0, &*told[0].1), ("connection_string", "\"postgresql://u:p@h/db\""));
}

#[test]
fn fields_of_the_environment_are_scalars_of_toml_or_else_texts() {
    let read = |text: &'static str| {
        let loaded = Given::default().env("RUNNEL_RUN_LOG_STORE__X", text).load().unwrap();
        loaded.sections.run_log_store.config("any")["x"].to_string()
    };

    for (text, value) in [
        ("12", "12"),
        ("true", "true"),
        ("1.5", "1.5"),
        ("\"12\"", "\"12\""),
        ("a b", "\"a b\""),
        ("[1]", "\"[1]\""),
        ("1\ny = 2", "\"\"\"\n1\ny = 2\"\"\""),
        ("", "\"\""),
    ] {
        assert_eq!(read(text), value, "{text}");
    }
}

#[test]
fn sections_of_jobs_are_kept_as_they_are() {
    let loaded = Given::default().file("[job.ingest]\nretry_steps = [\"load\"]\n").load().unwrap();

    let job = &loaded.sections.jobs["ingest"];
    assert_eq!(
        (job.table["retry_steps"].to_string(), job.origin.to_string()),
        ("[\"load\"]".into(), "runnel.toml:1".into())
    );
}

#[test]
fn sections_of_another_shape_are_refused_with_their_line() {
    for (text, refusal) in [
        ("[run_log_store]\ntyp = \"memory\"\n", "runnel.toml:2: run_log_store: unknown field `typ`"),
        ("[run_log_store]\ntype = 7\n", "runnel.toml:2: run_log_store.type"),
        ("[run_log_store]\nconfig = 7\n", "runnel.toml:2: run_log_store.config: expected a table"),
        ("job.ingest = 7\n", "job.ingest is one value"),
        (
            "[log_store]\ndir = \"x\"\n",
            "runnel.toml:1: there is no setting `log_store`; where the output of runs is kept is said by `log_dir`",
        ),
        ("[run_log_stor]\n", "did you mean `run_log_store`"),
    ] {
        let refused = Given::default().file(text).refusal();
        assert!(refused.contains(refusal), "{text}: {refused}");
    }
}
