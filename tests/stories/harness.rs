//! Runs stories like tests: filters by name, several at once, and a useful dump when one fails.

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

/// Number of stories at once. They mostly wait, so it is more than the number of cores.
const CONCURRENT_STORIES: usize = 6;

/// A silence of ten seconds looks like a hang.
const SILENCE: Duration = Duration::from_secs(8);

/// The managed cluster with one agent that stories share. The first story that needs it starts it.
#[derive(Default)]
pub struct Shared {
    managed: OnceCell<Managed>,
    failed: Mutex<Vec<String>>,
}

impl Shared {
    /// Returns the managed cluster.
    pub async fn managed(&self) -> Result<&Managed> {
        self.managed.get_or_try_init(|| Managed::start_with_agent("shared")).await
    }
}

/// The run of a story.
pub type StoryFuture = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// A story with the path of its function as name.
pub struct Story {
    pub name: &'static str,
    pub run: fn(Arc<Shared>) -> StoryFuture,
}

/// Makes a [`Story`](harness::Story) of a function.
#[macro_export]
macro_rules! story {
    ($($path:ident)::+) => {
        $crate::harness::Story {
            name: stringify!($($path)::+),
            run: |shared| Box::pin(async move { $($path)::+(&shared).await }),
        }
    };
}

/// Runs the stories that the command line selects.
pub fn run(stories: Vec<Story>) -> ExitCode {
    let mut args = Arguments::from_args();
    args.test_threads.get_or_insert(CONCURRENT_STORIES);
    let runtime = Runtime::new().expect("a runtime");
    let shared = Arc::new(Shared::default());
    if !args.list {
        // Builds take minutes, so they run before the first story, where their progress is visible.
        if let Err(error) = prepare() {
            eprintln!("failed to build the test bed: {error:#}");
            return ExitCode::FAILURE;
        }
    }
    let (changes, received) = channel();
    thread::spawn(|| report_running(received));
    let trial = |story| trial(story, &shared, runtime.handle(), changes.clone());
    let trials = stories.into_iter().map(trial).collect();
    let conclusion = libtest_mimic::run(&args, trials);
    if !args.list {
        println!(
            "only `cargo e2e`, which needs root, tests Open Cluster Management itself, the agent's image and a real node\n"
        );
    }
    if conclusion.has_failed() {
        runtime.block_on(dump(&shared));
    }
    // The clusters have to stop before the runtime in which their processes were started.
    drop(shared);
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

fn trial(story: Story, shared: &Arc<Shared>, handle: &Handle, changes: Sender<Change>) -> Trial {
    let (shared, handle) = (shared.clone(), handle.clone());
    Trial::test(story.name.replace(' ', ""), move || {
        changes.send(Change::Started(story.name)).ok();
        // Spawned, so that a panic fails this story alone.
        let result = handle.block_on(handle.spawn((story.run)(shared.clone())));
        changes.send(Change::Ended(story.name)).ok();
        let result = result.unwrap_or_else(|panic| Err(anyhow!("{panic}")));
        result.map_err(|error| {
            shared
                .failed
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(format!("{}: {error:#}", story.name));
            Failed::from(format!("{error:?}"))
        })
    })
}

/// Prints the failed stories last: often only the end of a long log is shown.
async fn dump(shared: &Shared) {
    if let Some(managed) = shared.managed.get() {
        eprintln!("{}", managed.plane.dump().await);
        eprintln!("the last lines of the shared agent's log:\n{}", managed.agent_log_end(200));
    }
    let failed = shared.failed.lock().unwrap_or_else(PoisonError::into_inner);
    eprintln!("failed:\n{}", failed.join("\n"));
}
