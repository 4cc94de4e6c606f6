//! What the plugin prints, as text: `golden/*.yaml` in, `.txt` and `.json` out. `UPDATE_GOLDEN=1` writes them anew.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn plugin(args: &[&str], input: Stdio) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-addon"));
    command.args(args).stdin(input).output().expect("the plugin runs")
}

fn golden() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let entries =
        std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("one").path());
    entries.filter(|path| path.extension().is_some_and(|is| is == "yaml")).collect()
}

/// Read from standard input, so that both ways in are used.
fn told(path: &Path, format: &[&str]) -> String {
    let input = std::fs::File::open(path).expect("the input");
    // Beside `ruled.yaml` lies `ruled.rules`.
    let rules = path.with_extension("rules");
    let flags =
        if rules.exists() { vec!["--rules", rules.to_str().expect("text")] } else { vec![] };
    let output = plugin(&[&["health", "-f", "-"], &flags[..], format].concat(), input.into());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

fn check(path: &Path, extension: &str, told: &str) {
    let path = path.with_extension(extension);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, told).expect("written");
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(told, wanted, "{}", path.display());
}

#[test]
fn the_plugin_says_what_is_written_here() {
    let inputs = golden();
    assert!(inputs.len() >= 3, "{inputs:?}");
    for path in inputs {
        check(&path, "txt", &told(&path, &[]));
        check(&path, "json", &told(&path, &["-o", "json"]));
    }
}

#[test]
fn each_object_is_a_line_of_json() {
    for path in golden() {
        for line in told(&path, &["--output=json"]).lines() {
            let read: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let fields: Vec<&str> =
                read.as_object().expect("an object").keys().map(String::as_str).collect();
            let mut wanted = ["apiVersion", "kind", "namespace", "name", "status", "message"];
            wanted.sort_unstable();
            assert_eq!(fields, wanted, "{line}");
        }
    }
}

#[test]
fn what_cannot_be_read_ends_with_2() {
    for args in [
        &["health", "-f", "/nowhere/at/all"][..],
        &["health", "-f", env!("CARGO_BIN_EXE_kubectl-addon")],
        &["health", "-f", "-", "-o", "xml"],
        &["health", "-f", "-", "--rules", "/nowhere/at/all"],
        &["health", "-f", "-", "--rules", env!("CARGO_BIN_EXE_kubectl-addon")],
        &["health"],
        &[],
    ] {
        let output = plugin(args, Stdio::null());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn help_and_nothing_to_judge_end_with_0() {
    for (args, word) in [
        (&["--help"][..], "health"),
        (&["health", "--help"], "KIND/NAME  STATUS  MESSAGE"),
        (&["health", "-f", "-"], ""),
    ] {
        let output = plugin(args, Stdio::null());
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains(word), "{args:?}");
    }
}
