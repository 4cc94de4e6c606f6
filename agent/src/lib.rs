//! The agent on a managed cluster. It installs, upgrades and rolls back add-ons.
//!
//! One watch delivers the `ManagedAddOn`s. Each has a driver, which observes the cluster, lets the pure crate `lifecycle`
//! compute the next transition, saves the ledger, acts, and observes again. hub-sync writes assignments and reads ledgers;
//! it and the drivers meet only in the `ManagedAddOn`.

mod actions;
mod args;
mod cluster;
mod daemon;
mod driver;
mod observability;
mod release_finalizers;
mod storage;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use kube::CustomResourceExt;
use lifecycle::ManagedAddOn;
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

pub use args::{Args, Command, Settings};
use observability::logging::{self, LogFormat};

/// Threads of the agent: its work is mostly waiting, and edge clusters have few cores.
const THREADS: usize = 2;

/// Time after SIGTERM in which the agent stops by itself. Then the process ends, also while it hangs in its start.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(700);

/// Runs the program and returns its exit code: 0 after SIGTERM or a completed command, 1 after an error. clap exits with 2
/// for invalid arguments.
pub fn main(args: Args) -> ExitCode {
    let result = match args.command {
        Some(Command::Crd) => print_crd(),
        Some(Command::ReleaseFinalizers(args)) => release_finalizers(args),
        None => args.flags.into_settings().and_then(run_daemon),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("addon-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Returns the CRD as YAML, as it is in `manifests/agent/crd.yaml`.
///
/// # Errors
/// If the CRD cannot be serialized.
pub fn crd() -> anyhow::Result<String> {
    serde_saphyr::to_string(&ManagedAddOn::crd()).context("could not write the CRD as YAML")
}

fn print_crd() -> anyhow::Result<()> {
    print!("{}", crd()?);
    Ok(())
}

fn release_finalizers(args: args::ReleaseFinalizers) -> anyhow::Result<()> {
    init_process(LogFormat::Json);
    start_runtime(&mut runtime::Builder::new_current_thread())?
        .block_on(release_finalizers::run(args))
}

fn run_daemon(settings: Settings) -> anyhow::Result<()> {
    init_process(settings.log_format);
    let mut builder = runtime::Builder::new_multi_thread();
    let runtime = start_runtime(builder.worker_threads(THREADS))?;
    let result = runtime.block_on(async {
        let shutdown = CancellationToken::new();
        cancel_on_signal(shutdown.clone())?;
        tokio::select! {
            result = daemon::run(settings, shutdown.clone()) => result,
            () = shutdown.cancelled() => {
                tokio::time::sleep(SHUTDOWN_TIMEOUT).await;
                Ok(())
            }
        }
    });
    runtime.shutdown_background();
    result
}

/// Installs what a process has once: its logger, and the TLS provider for API servers and bundle servers.
fn init_process(log_format: LogFormat) {
    logging::init(log_format);
    _ = rustls::crypto::ring::default_provider().install_default();
}

fn start_runtime(builder: &mut runtime::Builder) -> anyhow::Result<runtime::Runtime> {
    builder
        .enable_all()
        .build()
        .context("could not start; raise the limits on threads and open files")
}

fn cancel_on_signal(shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("could not handle SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("could not handle SIGINT")?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        shutdown.cancel();
    });
    Ok(())
}
