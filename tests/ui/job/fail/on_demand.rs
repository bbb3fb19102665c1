use runnel::RunContext;

#[runnel::job(retry = backof(max_attempts = 5))]
async fn misspelt_policy() {}

#[runnel::job(retry = jittered(max_attempts = 5))]
async fn unknown_policy() {}

#[runnel::job(retry = 5)]
async fn policy_by_number() {}

#[runnel::job(retry = "fixed")]
async fn policy_by_text() {}

#[runnel::job(retry(attempts = 5, from = "1s", to = "10s"))]
async fn policy_of_a_processor() {}

#[runnel::job(retry = fixed)]
async fn policy_without_parts() {}

#[runnel::job(retry = none())]
async fn none_with_parts() {}

#[runnel::job(retry = fixed(wait = "1s"))]
async fn without_attempts() {}

#[runnel::job(retry = fixed(max_attempts = 0))]
async fn no_attempts() {}

#[runnel::job(retry = fixed(max_attempts = 3, waits = "1s"))]
async fn misspelt_part() {}

#[runnel::job(retry = fixed(max_attempts = 3, multiplier = 2))]
async fn part_of_another() {}

#[runnel::job(retry = fixed(3, "1s"))]
async fn parts_without_names() {}

#[runnel::job(retry = fixed(max_attempts = 3, wait = "1s", wait = "2s"))]
async fn part_twice() {}

#[runnel::job(retry = fixed(max_attempts = 3, wait = "5"))]
async fn wait_without_unit() {}

#[runnel::job(retry = backoff(max_attempts = 5, multiplier = 2, min = "1s"))]
async fn without_max() {}

#[runnel::job(retry = backoff(max_attempts = 5, min = "1s", max = "10s"))]
async fn without_multiplier() {}

#[runnel::job(retry = backoff(max_attempts = 5, multiplier = -1, min = "1s", max = "10s"))]
async fn negative_multiplier() {}

#[runnel::job(retry = backoff(max_attempts = 5, multiplier = 2, min = "10s", max = "1s"))]
async fn min_above_max() {}

#[runnel::job(retry_steps = "load")]
async fn one_step() {}

#[runnel::job(retry_steps = [load])]
async fn step_by_name() {}

#[runnel::job(store_trace_info = 5)]
async fn traces_by_number() {}

#[runnel::job(store_trace_info = "")]
async fn traces_nowhere() {}

#[runnel::job(store_trace_info("archive"))]
async fn traces_in_brackets() {}

#[runnel::job(run_from_clean_folder = "yes")]
async fn clean_by_text() {}

#[runnel::job(tag = nightly)]
async fn tag_by_name() {}

#[runnel::job(timeout = "30")]
async fn timeout_without_unit() {}

#[runnel::job(retry_step = ["load"])]
async fn misspelt_option() {}

#[runnel::job(colour = "red")]
async fn unknown_option() {}

#[runnel::job(interval = "1s")]
async fn option_of_a_timer() {}

#[runnel::job(on_leader)]
async fn on_the_leader() {}

#[runnel::job("ingest")]
async fn name_without_a_name() {}

#[runnel::job]
fn not_async(_run: RunContext) {}

#[runnel::job]
async fn borrows(_run: &RunContext) {}

#[runnel::job]
async fn taken_apart((_day, _region): (u32, String)) {}

#[runnel::job]
async fn returns_a_number() -> [u64; 2] {
    [1, 2]
}

fn main() {
    // What has mistakes is still there: using it makes no further errors.
    let _ = runnel::App::bare("shop").with::<misspelt_policy>().job::<borrows>();
}
