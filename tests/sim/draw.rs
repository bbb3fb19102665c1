//! What a seed means: which app, which workers, what befalls them. Everything else in a run follows from it.

use std::time::Duration;

use fastrand::Rng;
use runnel::ExceptionPolicy;
use runnel::broker::memory::Faults;

/// What may go wrong in a run, beside failing events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Climate {
    /// Nothing: workers come and go as they should.
    Calm,
    /// Workers crash and stand still.
    Crashes,
    /// What is asked or answered is lost, late or doubled; links are cut.
    Network,
    /// The server restarts, fails over and loses writes, its clock jumps, others meddle with its groups.
    Server,
    /// Operators pause, resume, skip and reset.
    Operators,
    /// There are jobs of the fleet, whose leaders crash, stand still and are cut off, and the server's clock jumps.
    Leaders,
    /// All of it.
    Everything,
}

/// How the functions of a processor take their events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    One,
    Batch(usize, Duration),
    Loop,
    LoopOfBatches(usize, Duration),
}

/// A processor of the app.
#[derive(Clone, Debug)]
pub struct Drawn {
    pub name: &'static str,
    pub style: Style,
    pub policy: ExceptionPolicy,
    /// What is given up is kept.
    pub keeps_letters: bool,
    /// There is middleware around it.
    pub is_wrapped: bool,
    pub attempts: u32,
}

/// A run, before it runs.
#[derive(Clone, Debug)]
pub struct Draw {
    pub seed: u64,
    pub climate: Climate,
    pub processors: Vec<Drawn>,
    pub workers: usize,
    /// How often something is sent and something happens.
    pub rounds: usize,
    pub lock_expiry: Duration,
    pub linger: Duration,
    pub prefetch: u32,
    /// Of every link.
    pub faults: Faults,
    /// Somebody else has read the partitions before, with consumers.
    pub is_migrated: bool,
    /// The app has jobs, too.
    pub has_jobs: bool,
    /// What it runs is written down.
    pub is_recorded: bool,
}

pub fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

impl Draw {
    pub fn of(seed: u64) -> Self {
        let mut chance = Rng::with_seed(seed);
        use Climate::*;
        let climate = [Calm, Crashes, Network, Server, Everything, Calm, Leaders, Server, Operators, Everything];
        let climate = climate[(seed % 10) as usize];
        let pick = |chance: &mut Rng, of: &[u64]| millis(of[chance.usize(..of.len())]);
        let processors = ["first", "second"].into_iter().take(chance.usize(1..=2));
        Self {
            seed,
            climate,
            processors: processors.map(|name| Drawn::of(name, &mut chance)).collect(),
            workers: chance.usize(2..=5),
            rounds: chance.usize(20..=45),
            lock_expiry: pick(&mut chance, &[1_000, 3_000, 10_000]),
            linger: pick(&mut chance, &[0, 5, 5, 50]),
            prefetch: [1, 4, 64][chance.usize(..3)],
            faults: climate.faults(&mut chance),
            is_migrated: chance.u8(..8) == 0 && matches!(climate, Calm | Crashes | Network),
            has_jobs: climate == Leaders || (climate == Calm && seed.is_multiple_of(4)),
            // Some of every climate: it doubles what there is to do.
            is_recorded: seed.is_multiple_of(3),
        }
    }
}

impl Drawn {
    fn of(name: &'static str, chance: &mut Rng) -> Self {
        let most = chance.usize(2..=12);
        let within = millis(chance.u64(0..60));
        let styles =
            [Style::One, Style::One, Style::Batch(most, within), Style::Loop, Style::LoopOfBatches(most, within)];
        let (halt, quarantine, ignore) = (ExceptionPolicy::Halt, ExceptionPolicy::Quarantine, ExceptionPolicy::Ignore);
        let policies = [(halt, false), (quarantine, false), (ignore, false), (ignore, true)];
        let style = styles[chance.usize(..styles.len())];
        let (policy, keeps_letters) = policies[chance.usize(..policies.len())];
        Self { name, style, policy, keeps_letters, is_wrapped: chance.bool(), attempts: chance.u32(1..=3) }
    }
}

impl Climate {
    fn faults(self, chance: &mut Rng) -> Faults {
        let seed = chance.u64(..);
        let share = |chance: &mut Rng| if chance.bool() { chance.f64() * 0.06 } else { 0.0 };
        match self {
            Self::Calm | Self::Crashes | Self::Operators => Faults { seed, ..Faults::default() },
            Self::Server => Faults { seed, delay: Duration::ZERO..=millis(chance.u64(0..3)), ..Faults::default() },
            Self::Network | Self::Everything | Self::Leaders => Faults {
                seed,
                lost_requests: share(chance),
                lost_replies: share(chance),
                late_requests: share(chance),
                duplicates: share(chance),
                late_by: Duration::ZERO..=millis(chance.u64(1..8_000)),
                delay: Duration::ZERO..=millis([0, 2, 300][chance.usize(..3)]),
                patience: millis(chance.u64(50..1_000)),
            },
        }
    }

    /// What may befall the app in a round.
    pub fn perils(self) -> &'static [Peril] {
        use Peril::*;
        match self {
            Self::Calm => &[Join, Drain],
            Self::Crashes => &[Join, Drain, Crash, Crash, Pause],
            Self::Network => &[Join, Crash, Cut, Cut],
            Self::Server => &[
                Join,
                Restart,
                Replicate,
                FailOver,
                FailOver,
                LoseTail,
                ClockJump,
                DeleteGroup,
                MoveGroup,
                ForeignRead,
            ],
            Self::Leaders => &[Join, Drain, CrashLeader, CrashLeader, PauseLeader, CutLeader, Crash, ClockJump],
            Self::Operators => &[Join, Drain, OperatorPause, OperatorResume, OperatorSkip, OperatorReset],
            Self::Everything => &[
                Join,
                Drain,
                Crash,
                Pause,
                Cut,
                Restart,
                Replicate,
                FailOver,
                LoseTail,
                ClockJump,
                DeleteGroup,
                MoveGroup,
                ForeignRead,
                OperatorPause,
                OperatorResume,
                OperatorSkip,
                OperatorReset,
            ],
        }
    }
}

/// One thing that befalls an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peril {
    Join,
    Drain,
    Crash,
    Pause,
    Cut,
    CrashLeader,
    PauseLeader,
    CutLeader,
    Restart,
    Replicate,
    FailOver,
    LoseTail,
    ClockJump,
    DeleteGroup,
    MoveGroup,
    ForeignRead,
    OperatorPause,
    OperatorResume,
    OperatorSkip,
    OperatorReset,
}

/// How the work of one event goes, for a processor and a try of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    Done,
    Fails,
    Panics,
    /// An event loop gives the event up by itself.
    Skipped,
}

/// How long the work of an event takes, and how it ends. Some events cannot be processed before somebody repairs it.
pub fn work(seed: u64, processor: &str, seq: u64, attempt: u32, is_repaired: bool) -> (Duration, Work) {
    let of_processor = u64::from(processor.as_bytes()[0]) << 32;
    let mut event = Rng::with_seed(seed.rotate_left(40) ^ of_processor ^ seq);
    let kind = event.u8(..100);
    let takes = if event.u8(..40) == 0 { millis(1_000) } else { Duration::from_micros(event.u64(0..20_000)) };
    let ends = match kind {
        0..3 if attempt == 1 && !is_repaired => Work::Fails,
        3 if !is_repaired => Work::Fails,
        4 if !is_repaired => Work::Panics,
        5 => Work::Skipped,
        _ => Work::Done,
    };
    (takes, ends)
}
