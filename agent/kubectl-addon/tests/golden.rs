//! The plugin's output for each input `golden/*.yaml`, as `.txt` and `.json`. `UPDATE_GOLDEN=1` rewrites them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn run_plugin(args: &[&str], input: Stdio) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-addon"));
    command.args(args).stdin(input).output().expect("the plugin runs")
}

fn inputs() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let entries =
        std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("one").path());
    entries.filter(|path| path.extension().is_some_and(|is| is == "yaml")).collect()
}

/// Passes the objects by standard input and the rules by a file, so that both are tested.
fn assess(path: &Path, format: &[&str]) -> String {
    let input = std::fs::File::open(path).expect("the input");
    // The rules for `rules.yaml` are in `rules.rules`.
    let rules = path.with_extension("rules");
    let flags =
        if rules.exists() { vec!["--rules", rules.to_str().expect("text")] } else { vec![] };
    let output = run_plugin(&[&["health", "-f", "-"], &flags[..], format].concat(), input.into());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

fn check(path: &Path, extension: &str, actual: &str) {
    let path = path.with_extension(extension);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, actual).expect("written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(actual, expected, "{}", path.display());
}

#[test]
fn the_output_is_that_of_the_golden_files() {
    let inputs = inputs();
    assert!(inputs.len() >= 3, "{inputs:?}");
    for path in inputs {
        check(&path, "txt", &assess(&path, &[]));
        check(&path, "json", &assess(&path, &["-o", "json"]));
    }
}

#[test]
fn each_object_is_a_line_of_json() {
    for path in inputs() {
        for line in assess(&path, &["--output=json"]).lines() {
            let read: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let fields: Vec<&str> =
                read.as_object().expect("an object").keys().map(String::as_str).collect();
            let mut expected = ["apiVersion", "kind", "namespace", "name", "status", "message"];
            expected.sort_unstable();
            assert_eq!(fields, expected, "{line}");
        }
    }
}

#[test]
fn input_that_cannot_be_read_exits_with_2() {
    for args in [
        &["health", "-f", "/does/not/exist"][..],
        &["health", "-f", env!("CARGO_BIN_EXE_kubectl-addon")],
        &["health", "-f", "-", "-o", "xml"],
        &["health", "-f", "-", "--rules", "/does/not/exist"],
        &["health", "-f", "-", "--rules", env!("CARGO_BIN_EXE_kubectl-addon")],
        &["health"],
        &[],
    ] {
        let output = run_plugin(args, Stdio::null());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn help_and_empty_input_exit_with_0() {
    for (args, word) in [
        (&["--help"][..], "health"),
        (&["health", "--help"], "KIND/NAME  STATUS  MESSAGE"),
        (&["health", "-f", "-"], ""),
    ] {
        let output = run_plugin(args, Stdio::null());
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains(word), "{args:?}");
    }
}
