//! What is asked on the command line.

use anyhow::{Context, Result, bail};
use testbed::fault_proxy::Fault;

use crate::lane::MOST_LANES;
use crate::plan::Plan;
use crate::scenario::Scenario;

pub const USAGE: &str = "\
cargo faults [-- OPTIONS]

Installs, upgrades, rolls back and uninstalls add-ons on real control planes while one thing goes wrong at one request:
the agent is killed, cut off, refused, kept waiting or lied to. Every run has to end as one without a fault does. Without
options a sample over all faults is tried; exits with 1 when a plan did not converge.

Options:
  --full             every fault at every request
  --sample N         about N plans (200)
  --twice N          so many of them kill the agent a second time, in its recovery (a tenth; with --full, 200)
  --seed N           which sample
  --plan PLAN        one plan, as a failure tells it: \"<scenario> <index> <fault> [<index> <fault>]\"
  --scenario NAMES   only these, separated by commas
  --fault NAMES      only these, separated by commas; `kill` is all three kills
  --lanes N          control planes side by side (four for each processor, at most 12)
  --list             what there is to try, with the requests of a run without faults
  --help             print this";

pub struct Options {
    pub full: bool,
    pub sample: usize,
    pub twice: Option<usize>,
    pub seed: u64,
    pub plans: Vec<Plan>,
    pub scenarios: Vec<Scenario>,
    pub faults: Vec<Fault>,
    pub lanes: usize,
    pub list: bool,
    pub help: bool,
}

impl Options {
    pub fn read(args: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self {
            full: false,
            sample: 200,
            twice: None,
            seed: fastrand::u64(..1_000_000),
            plans: Vec::new(),
            scenarios: Scenario::all().collect(),
            faults: Fault::all().collect(),
            lanes: lanes(),
            list: false,
            help: false,
        };
        let mut args = args;
        while let Some(arg) = args.next() {
            let mut value = || args.next().with_context(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "--full" => options.full = true,
                "--list" => options.list = true,
                "--help" | "-h" => options.help = true,
                "--sample" => options.sample = value()?.parse()?,
                "--twice" => options.twice = Some(value()?.parse()?),
                "--seed" => options.seed = value()?.parse()?,
                "--lanes" => options.lanes = value()?.parse::<usize>()?.clamp(1, MOST_LANES),
                "--plan" => options.plans.push(value()?.parse()?),
                "--scenario" => {
                    options.scenarios =
                        value()?.split(',').map(str::parse).collect::<Result<_>>()?;
                }
                "--fault" => options.faults = faults(&value()?)?,
                _ => bail!("unknown option {arg}"),
            }
        }
        Ok(options)
    }
}

/// Most of a lane's time is waiting; each needs about 700 MiB.
fn lanes() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    (processors * 4).clamp(1, MOST_LANES)
}

fn faults(names: &str) -> Result<Vec<Fault>> {
    let mut faults = Vec::new();
    for name in names.split(',') {
        match name {
            "kill" => faults.extend(Fault::all().filter(|fault| fault.kills())),
            name => faults.push(name.parse()?),
        }
    }
    Ok(faults)
}
