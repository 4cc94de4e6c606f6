//! Runs stories like tests: names to filter by, several at once, and a useful dump when one fails.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow};
use libtest_mimic::{Arguments, Failed, Trial};
use testbed::Managed;
use testbed::{Binaries, Tool};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::OnceCell;

/// Stories mostly wait, so there are more at once than cores.
const AT_ONCE: usize = 6;

/// A silence of ten seconds looks like a hang.
const SILENCE: Duration = Duration::from_secs(8);

/// What stories share: one managed cluster with one agent, started by the first that asks for it.
#[derive(Default)]
pub struct Bed {
    managed: OnceCell<Managed>,
    failed: Mutex<Vec<String>>,
}

impl Bed {
    pub async fn managed(&self) -> Result<&Managed> {
        self.managed.get_or_try_init(|| Managed::start_with_agent("shared")).await
    }
}

pub type StoryFuture = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

pub struct Story {
    pub name: &'static str,
    pub run: fn(Arc<Bed>) -> StoryFuture,
}

/// A story by its function's name.
#[macro_export]
macro_rules! story {
    ($($path:ident)::+) => {
        $crate::harness::Story {
            name: stringify!($($path)::+),
            run: |bed| Box::pin(async move { $($path)::+(&bed).await }),
        }
    };
}

pub fn run(stories: Vec<Story>) -> ExitCode {
    let mut args = Arguments::from_args();
    args.test_threads.get_or_insert(AT_ONCE);
    let runtime = Runtime::new().expect("a runtime");
    let bed = Arc::new(Bed::default());
    if !args.list {
        // Before the first story, so that what takes minutes is seen while it goes on.
        if let Err(error) = prepare() {
            eprintln!("the test bed is not there: {error:#}");
            return ExitCode::FAILURE;
        }
    }
    let (changes, received) = channel();
    thread::spawn(|| report_running(received));
    let trial = |story| trial(story, &bed, runtime.handle(), changes.clone());
    let trials = stories.into_iter().map(trial).collect();
    let conclusion = libtest_mimic::run(&args, trials);
    if !args.list {
        println!(
            "left to `cargo e2e`, which needs root: Open Cluster Management itself, the agent's image, a real node\n"
        );
    }
    if conclusion.has_failed() {
        runtime.block_on(dump(&bed));
    }
    // The clusters end with the runtime that their processes were started from.
    drop(bed);
    conclusion.exit_code()
}

fn prepare() -> Result<()> {
    Binaries::ensure_also(&[Tool::Kubectl, Tool::Registry, Tool::Oras])?;
    testbed::agent_binary().map(|_| ())
}

/// A change of the set of running stories.
enum Change {
    Started(&'static str),
    Ended(&'static str),
}

/// Prints the names of the running stories whenever none has started or ended for a while.
fn report_running(changes: Receiver<Change>) {
    let mut running = BTreeSet::new();
    loop {
        match changes.recv_timeout(SILENCE) {
            Ok(Change::Started(name)) => _ = running.insert(name),
            Ok(Change::Ended(name)) => _ = running.remove(name),
            Err(RecvTimeoutError::Timeout) if running.is_empty() => {}
            Err(RecvTimeoutError::Timeout) => {
                eprintln!("running: {}", Vec::from_iter(running.iter().copied()).join(", "));
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn trial(story: Story, bed: &Arc<Bed>, handle: &Handle, changes: Sender<Change>) -> Trial {
    let (bed, handle) = (bed.clone(), handle.clone());
    Trial::test(story.name.replace(' ', ""), move || {
        changes.send(Change::Started(story.name)).ok();
        // Spawned, so that a panic is this story's failure.
        let result = handle.block_on(handle.spawn((story.run)(bed.clone())));
        changes.send(Change::Ended(story.name)).ok();
        let result = result.unwrap_or_else(|panic| Err(anyhow!("{panic}")));
        result.map_err(|error| {
            bed.failed
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(format!("{}: {error:#}", story.name));
            Failed::from(format!("{error:?}"))
        })
    })
}

/// The failed stories come last: often only the end of a long log is shown.
async fn dump(bed: &Bed) {
    if let Some(managed) = bed.managed.get() {
        eprintln!("{}", managed.plane.dump().await);
        eprintln!("the shared agent's last lines:\n{}", managed.agent_log_end(200));
    }
    let failed = bed.failed.lock().unwrap_or_else(PoisonError::into_inner);
    eprintln!("failed:\n{}", failed.join("\n"));
}
