//! The command line as users give it.

use std::time::Duration;

use clap::{CommandFactory, Parser};
use lifecycle::health::Graces;

use super::{Args, Settings};

fn settings(args: &[&str]) -> anyhow::Result<Settings> {
    let args = Args::try_parse_from([&["addon-agent"], args].concat())?;
    args.flags.into_settings()
}

#[test]
fn the_flags_are_consistent() {
    Args::command().debug_assert();
}

#[test]
fn grace_periods_have_the_documented_defaults() {
    assert_eq!(settings(&[]).unwrap().graces, Graces::default());
    let graces = settings(&["--unschedulable-grace", "10m", "--no-status-grace=0s"]).unwrap();
    let expected = Graces {
        unschedulable: Duration::from_secs(600),
        no_status: Duration::ZERO,
        ..Graces::default()
    };
    assert_eq!(graces.graces, expected);
    assert!(settings(&["--pod-failure-grace", "soon"]).is_err());
}

#[test]
fn health_at_rest_is_evaluated_every_minute_by_default() {
    let every =
        |args: &[&str]| settings(args).map(|settings| settings.watch_settings.interval).ok();
    assert_eq!(every(&[]), Some(Duration::from_secs(60)));
    assert_eq!(every(&["--watch-interval", "1h"]), Some(Duration::from_secs(3600)));
    for invalid in ["0s", "61m", "often"] {
        assert_eq!(every(&["--watch-interval", invalid]), None, "{invalid}");
    }
}

#[test]
fn an_empty_path_counts_as_absent() {
    let empty = ["--hub-kubeconfig=", "--ca-bundle=", "--registry-config="];
    let settings = settings(&empty).unwrap();
    assert!(settings.hub.is_none());
    assert!(settings.pull_settings.ca_bundle.is_none());
    assert!(settings.pull_settings.registry_config.is_none());
}

#[test]
fn a_registry_without_tls_is_given_as_a_host() {
    let is_valid = |host: &str| settings(&["--plain-http-registry", host]).is_ok();
    for valid in ["registry.example.com", "127.0.0.1:5000", "[::1]:5000"] {
        assert!(is_valid(valid), "{valid}");
    }
    for invalid in ["http://a.example.com", "a.example.com/b", "a.b,c.d", "registry", ""] {
        assert!(!is_valid(invalid), "{invalid}");
    }
}

#[test]
fn a_hub_requires_the_name_of_this_cluster() {
    assert!(settings(&["--hub-kubeconfig", "hub"]).is_err());
    let both = settings(&["--hub-kubeconfig", "hub", "--cluster-name", "edge"]).unwrap();
    assert_eq!(both.hub.map(|hub| hub.cluster).as_deref(), Some("edge"));
}

#[test]
fn an_empty_namespace_is_an_error() {
    assert!(settings(&["--namespace="]).is_err());
}
