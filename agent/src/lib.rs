//! The agent on a managed cluster. One watch brings `ManagedAddOn`s; each has a driver that observes, lets the pure
//! core decide, saves the ledger, acts, and looks again. hub-sync writes assignments and reads what the ledger says;
//! it and the drivers meet only in the `ManagedAddOn`.

mod actions;
mod agent;
mod args;
mod cluster;
mod driver;
mod observability;
mod release_finalizers;
mod storage;

use std::process::ExitCode;

use anyhow::Context;
use kube::CustomResourceExt;
use lifecycle::ManagedAddOn;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

pub use args::{Args, Command, LogFormat, Settings};

/// Exit codes: 0 after SIGTERM or a command, 1 when the agent could not start, 2 (from clap) for a wrong flag.
pub fn main(args: Args) -> ExitCode {
    let done = match args.command {
        Some(Command::Crd) => print_crd(),
        Some(Command::ReleaseFinalizers(asked)) => last_act(asked),
        None => args.flags.settings().and_then(daemon),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("addon-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The CRD as YAML, as it stands in `manifests/`.
pub fn crd() -> anyhow::Result<String> {
    serde_saphyr::to_string(&ManagedAddOn::crd()).context("the CRD cannot be written as YAML")
}

fn print_crd() -> anyhow::Result<()> {
    print!("{}", crd()?);
    Ok(())
}

fn last_act(asked: args::ReleaseFinalizers) -> anyhow::Result<()> {
    prepare(LogFormat::Json);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("no runtime")?.block_on(release_finalizers::run(asked))
}

fn prepare(log_format: LogFormat) {
    observability::logging::init(log_format);
    // One provider for the API servers' and the bundle servers' TLS.
    _ = rustls::crypto::ring::default_provider().install_default();
}

fn daemon(settings: Settings) -> anyhow::Result<()> {
    prepare(settings.log_format);
    // Two threads: the work is waiting, and the edge has few cores.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("no runtime")?;
    let done = runtime.block_on(async {
        let shutdown = CancellationToken::new();
        stop_on_signal(shutdown.clone())?;
        tokio::select! {
            done = agent::run(settings, shutdown.clone()) => done,
            // Whatever hangs in starting does not outlive the signal.
            () = shutdown.cancelled() => {
                tokio::time::sleep(std::time::Duration::from_millis(700)).await;
                Ok(())
            }
        }
    });
    runtime.shutdown_background();
    done
}

fn stop_on_signal(shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("no signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("no signals")?;
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
