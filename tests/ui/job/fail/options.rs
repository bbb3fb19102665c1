#[runnel::timer(jitter = "1s")]
async fn without_interval() {}

#[runnel::timer("10s")]
async fn without_a_name() {}

#[runnel::timer(intervall = "10s", interval = "10s")]
async fn misspelt() {}

#[runnel::timer(interval = "10s", colour = "red")]
async fn unknown() {}

#[runnel::task(name = "a", name = "b")]
async fn twice() {}

#[runnel::timer(interval = 10)]
async fn no_unit() {}

#[runnel::timer(interval = "10x")]
async fn no_duration() {}

#[runnel::timer(interval = "1us")]
async fn too_often() {}

#[runnel::timer(interval = "1s", jitter = "2s")]
async fn too_much_jitter() {}

#[runnel::timer(interval = "1s", overlap = "wait")]
async fn no_overlap() {}

#[runnel::timer(interval = "1s", timezone = "UTC")]
async fn zone_of_a_timer() {}

#[runnel::task(interval = "1s")]
async fn interval_of_a_task() {}

#[runnel::task(on_leader = true)]
async fn another_form() {}

#[runnel::task(name = "", timeout = "0", exception_policy = "IGNORE")]
async fn all_at_once() {}

#[runnel::crontab(timezone = "UTC")]
async fn without_spec() {}

#[runnel::crontab(DAILY)]
async fn spec_by_name() {}

#[runnel::crontab("45 17 * *")]
async fn too_few_fields() {}

#[runnel::crontab("45 25 * * *")]
async fn no_hour() {}

#[runnel::crontab("0 0 30 2 *")]
async fn never() {}

#[runnel::crontab("@daily", timezone = "Europe/Lodnon")]
async fn no_zone() {}

#[runnel::crontab("@daily", missed = "last")]
async fn no_missed() {}

#[runnel::crontab("@daily", missed = all(0))]
async fn none_missed() {}

#[runnel::crontab("@daily", max_lateness = "0s")]
async fn never_late() {}

#[runnel::crontab("@daily", delivery = "at_least_once")]
async fn alone_at_least_once() {}

#[runnel::crontab("@daily", jitter = "1s")]
async fn jitter_of_a_crontab() {}

#[runnel::crontab("@daily", "UTC")]
async fn zone_without_a_name() {}

fn main() {}
