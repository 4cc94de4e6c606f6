//! The one thread that starts child processes. A parent-death signal fires when the starting *thread* ends, and the thread
//! of a test ends with the test. This thread lives as long as the process.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;

use rustix::process::{Signal, set_parent_process_death_signal};

type Request = (Command, Sender<io::Result<Child>>);

/// Starts `command` in a process group of its own, so that Ctrl-C reaches only this process, which then ends the child.
pub fn spawn(mut command: Command) -> io::Result<Child> {
    command.process_group(0);
    die_with_parent(&mut command);
    let (reply, child) = channel();
    let requests = requests().lock().unwrap_or_else(PoisonError::into_inner).clone();
    requests.send((command, reply)).map_err(io::Error::other)?;
    child.recv().map_err(io::Error::other)?
}

#[expect(
    unsafe_code,
    reason = "pre_exec: between fork and exec this makes one system call and allocates nothing"
)]
fn die_with_parent(command: &mut Command) {
    unsafe {
        command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
    }
}

fn requests() -> &'static Mutex<Sender<Request>> {
    static REQUESTS: OnceLock<Mutex<Sender<Request>>> = OnceLock::new();
    REQUESTS.get_or_init(|| {
        let (sender, requests) = channel::<Request>();
        thread::spawn(move || {
            for (mut command, reply) in requests {
                reply.send(command.spawn()).ok();
            }
        });
        Mutex::new(sender)
    })
}
