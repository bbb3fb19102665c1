//! What something costs this process and the server: time on the clock, and on a processor.

use std::io;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::client::Client;

/// What the clocks said at the beginning.
pub(crate) struct Meter {
    began: Instant,
    client_cpu: Duration,
    redis_cpu: Duration,
}

/// What was spent since.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spent {
    pub(crate) wall: Duration,
    pub(crate) client_cpu: Duration,
    pub(crate) redis_cpu: Duration,
}

impl Meter {
    pub(crate) fn start(control: &mut Client) -> io::Result<Self> {
        let redis_cpu = redis_cpu(control)?;
        Ok(Self { redis_cpu, client_cpu: own_cpu(), began: Instant::now() })
    }

    pub(crate) fn stop(self, control: &mut Client) -> io::Result<Spent> {
        let wall = self.began.elapsed();
        let client_cpu = own_cpu().saturating_sub(self.client_cpu);
        let redis_cpu = redis_cpu(control)?.saturating_sub(self.redis_cpu);
        Ok(Spent { wall, client_cpu, redis_cpu })
    }
}

/// CPU time of all threads of this process.
fn own_cpu() -> Duration {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(spent.tv_sec.unsigned_abs(), spent.tv_nsec.unsigned_abs() as u32)
}

/// CPU time of the server, in user and system.
pub(crate) fn redis_cpu(control: &mut Client) -> io::Result<Duration> {
    let info = control.call("INFO cpu")?;
    let seconds = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    match (seconds("used_cpu_user:"), seconds("used_cpu_sys:")) {
        (Some(user), Some(system)) => Ok(Duration::from_secs_f64(user) + Duration::from_secs_f64(system)),
        _ => Err(io::Error::other("INFO cpu does not say what the server spent")),
    }
}

pub(crate) fn us(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
