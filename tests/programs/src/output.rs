//! The output of a command, followed while it runs.

use std::io::{BufReader, Read, read_to_string};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};

/// Enough to show the errors of a compiler.
const LAST_LINES: usize = 40;

/// Runs `command` to its end and returns its stdout. Calls `on_line` for each line of its stderr; a carriage return ends a
/// line, too. Lines for which `on_line` returns true are progress; an error has the last of the others.
pub fn follow(mut command: Command, mut on_line: impl FnMut(&str) -> bool) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("start {name}"))?;
    let stdout = child.stdout.take().context("take stdout")?;
    let stdout = thread::spawn(|| read_to_string(stdout));
    let mut messages: Vec<String> = Vec::new();
    for line in lines(child.stderr.take().context("take stderr")?) {
        if !line.is_empty() && !on_line(&line) {
            messages.push(line);
        }
    }
    let status = child.wait().with_context(|| format!("wait for {name}"))?;
    if !status.success() {
        let last = messages.len().saturating_sub(LAST_LINES);
        bail!("{name}: {status}\n{}", messages[last..].join("\n"));
    }
    Ok(stdout.join().expect("reading does not panic")?)
}

fn lines(stream: impl Read) -> impl Iterator<Item = String> {
    let mut bytes = BufReader::new(stream).bytes().map_while(Result::ok);
    std::iter::from_fn(move || {
        let first = bytes.next()?;
        let all = std::iter::once(first).chain(bytes.by_ref());
        let line: Vec<u8> = all.take_while(|byte| !matches!(byte, b'\n' | b'\r')).collect();
        Some(String::from_utf8_lossy(&line).trim_end().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn every_line_of_stderr_is_seen_and_stdout_is_returned() -> Result<()> {
        let mut seen = Vec::new();
        let stdout = follow(shell(r"echo out; printf 'one\rtwo\n\nthree' >&2"), |line| {
            seen.push(line.to_owned());
            true
        })?;
        assert_eq!((seen.join(","), stdout.as_str()), ("one,two,three".to_owned(), "out\n"));
        Ok(())
    }

    #[test]
    fn an_error_has_the_lines_that_are_no_progress() {
        let command = shell("echo 1 of 2 >&2; echo no such file >&2; exit 3");
        let error = follow(command, |line| line.contains(" of ")).expect_err("it fails");
        assert_eq!(error.to_string(), "sh: exit status: 3\nno such file");
    }
}
