//! Progress of builds that take minutes.

use std::io::{IsTerminal, Write, stderr};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A terminal shows one line that changes.
const REDRAW_EVERY: Duration = Duration::from_millis(500);

/// A log gets a new line each time. A silence of ten seconds looks like a hang.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Clears the line and turns wrapping off, so that the terminal cuts off the end of a long line.
const START_OF_LINE: &str = "\r\x1b[2K\x1b[?7l";
const END_OF_LINE: &str = "\x1b[?7h";

/// The latest state of one build, shared by the builder and a [`Monitor`]. Empty while nothing is under way.
#[derive(Clone, Default)]
pub struct Status(Arc<Mutex<String>>);

impl Status {
    pub fn set(&self, text: impl Into<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = text.into();
    }

    pub fn clear(&self) {
        self.set("");
    }

    fn get(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Shows statuses on stderr, with the seconds so far, until it is dropped.
pub struct Monitor {
    // Dropped to stop the thread.
    running: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Monitor {
    /// Shows one line that changes where stderr is a terminal, else a new line every five seconds.
    pub fn start(statuses: &[Status]) -> Self {
        Self::spawn(statuses, stderr().is_terminal())
    }

    /// Shows a new line every five seconds, for programs that print other lines meanwhile.
    pub fn start_lines(statuses: &[Status]) -> Self {
        Self::spawn(statuses, false)
    }

    fn spawn(statuses: &[Status], in_place: bool) -> Self {
        let statuses = statuses.to_vec();
        let (running, stopped) = channel::<()>();
        let thread = thread::spawn(move || {
            let (started, every) =
                (Instant::now(), if in_place { REDRAW_EVERY } else { LINE_EVERY });
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                show(&statuses, started, in_place);
            }
            if in_place {
                write!(stderr(), "{START_OF_LINE}{END_OF_LINE}").ok();
            }
        });
        Self { running: Some(running), thread: Some(thread) }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.running.take();
        self.thread.take().map(JoinHandle::join);
    }
}

fn show(statuses: &[Status], started: Instant, in_place: bool) {
    let texts: Vec<String> =
        statuses.iter().map(Status::get).filter(|text| !text.is_empty()).collect();
    if texts.is_empty() {
        return;
    }
    let line = format!("{:>4} s  {}", started.elapsed().as_secs(), texts.join(" | "));
    // Not `eprintln!`: libtest captures it.
    let mut stderr = stderr().lock();
    if in_place {
        write!(stderr, "{START_OF_LINE}{line}{END_OF_LINE}").and_then(|()| stderr.flush()).ok();
    } else {
        writeln!(stderr, "{line}").ok();
    }
}
