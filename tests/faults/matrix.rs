//! The fault matrix: what can go wrong, and how it is tried. A row that no run here can try says why.

/// One row.
pub struct Row {
    pub id: &'static str,
    /// What goes wrong.
    pub what: &'static str,
    /// Faults of `cargo faults`, at every request of every scenario; `twice` is any pair of kills.
    pub faults: &'static [&'static str],
    /// Stories on real API servers, in `tests/stories`.
    pub stories: &'static [&'static str],
    /// Tests of the transition table, in `agent/lifecycle/tests/table`.
    pub table: &'static [&'static str],
    /// What of it cannot be tried here, or is by design.
    pub note: &'static str,
}

const fn row(id: &'static str, what: &'static str) -> Row {
    Row { id, what, faults: &[], stories: &[], table: &[], note: "" }
}

pub const MATRIX: [Row; 42] = [
    Row {
        faults: &["kill-before", "kill-unanswered", "kill-after"],
        stories: &["restart::a_killed_agent_continues_where_it_was"],
        table: &["a_restarted_agent_repeats_the_action"],
        ..row("F1", "kill -9 before, during and after each request")
    },
    Row { faults: &["twice"], ..row("F2", "kill -9, and again in the recovery") },
    Row {
        faults: &["term"],
        stories: &[
            "daemon::sigterm_ends_the_agent_during_a_rollout",
            "environment::many_add_ons::an_agent_that_was_stopped_in_any_phase_continues",
        ],
        ..row("F3", "SIGTERM")
    },
    Row {
        stories: &[
            "environment::crash_loop::a_version_that_crashes_the_agent_is_rolled_back_after_three_crashes",
            "environment::crash_loop::a_rollback_that_crashes_the_agent_too_fails_until_a_retry",
        ],
        ..row("F4", "the agent dies at the same place again and again")
    },
    Row {
        faults: &["kill-before", "kill-unanswered", "kill-after"],
        note: "the agent keeps nothing on disk: a body on its way is in a file without a name, the ledger is in etcd",
        ..row("F5", "power loss")
    },
    Row {
        faults: &["500", "503", "503-later", "429"],
        table: &["a_transient_fault_is_retried_with_a_growing_backoff"],
        ..row("F6", "a single 500, 503 or 429 at each request")
    },
    Row {
        faults: &["storm-503", "storm-429"],
        stories: &[
            "restart::an_unreachable_api_server_fails_no_rollout",
            "environment::api_servers::an_api_server_that_does_not_respond_fails_no_rollout",
        ],
        ..row("F7", "a storm of 503 or 429; time without an API server is not counted")
    },
    Row {
        faults: &["reset", "lost-answer", "hang", "cut-body"],
        note: "a request that hangs is given up after 20 s",
        ..row("F8", "connection reset, answer lost or cut, no answer")
    },
    Row {
        faults: &["409"],
        stories: &["bad_input::cluster::an_object_of_another_add_on_is_left_alone"],
        ..row("F9", "conflict at each write")
    },
    Row {
        faults: &["401", "403"],
        stories: &[
            "bad_input::cluster::missing_permissions_of_an_account_are_named",
            "environment::credentials::permissions_that_are_revoked_and_granted_again_lose_nothing",
            "environment::credentials::permissions_that_are_revoked_during_an_apply_lead_to_a_rollback",
        ],
        ..row("F10", "rights that are taken mid-way")
    },
    Row {
        stories: &[
            "bad_input::immutable::an_immutable_change_of_an_object_with_data_is_rejected",
            "bad_input::cluster::objects_that_the_server_refuses_are_rejected",
        ],
        table: &["a_fault_in_each_phase_leads_where_the_diagram_shows"],
        ..row("F11", "an object is refused: immutable, invalid, denied")
    },
    Row {
        faults: &["storm-503"],
        table: &["an_apply_is_retried_until_the_timeout"],
        note: "a webhook that is down answers as a server does that is not available",
        ..row("F12", "a validating webhook is down")
    },
    Row {
        stories: &[
            "prerequisites::a_webhook_that_became_stricter_does_not_block_the_rollback",
            "prerequisites::a_webhook_that_locks_the_agent_out_is_rejected",
        ],
        ..row("F13", "the bundle's own webhook blocks the way back")
    },
    Row {
        faults: &["down"],
        stories: &["hub::an_offline_rollback_is_reported_once_when_the_hub_is_back"],
        note: "`cargo partitions` takes the link itself down",
        ..row("F14", "the hub is away from each phase on")
    },
    Row {
        faults: &["down"],
        stories: &["hub::an_offline_rollback_is_reported_once_when_the_hub_is_back"],
        note: "seconds, not months: what waits is one report, whatever the time",
        ..row("F15", "the hub comes back")
    },
    Row {
        faults: &["silent", "storm-503", "storm-429"],
        note: "`cargo partitions` has a link by which no answer comes back",
        ..row("F16", "the hub is half open, or refuses what it is told")
    },
    Row {
        faults: &["302", "404", "slow-body", "down", "silent", "storm-503"],
        stories: &[
            "bad_input::source::transient_server_errors_are_retried",
            "bad_input::source::lasting_server_errors_reject_a_version_until_a_retry",
            "bad_input::source::a_pull_resumes_where_the_connection_was_cut",
            "bad_input::source::a_body_of_one_byte_per_second_is_rejected",
        ],
        note: "bundle servers ask for no credentials yet",
        ..row("F17", "whoever serves bundles is down, slow or refuses")
    },
    Row {
        faults: &["garbage"],
        stories: &[
            "bad_input::source::a_bundle_with_another_digest_is_rejected",
            "bad_input::source::an_endless_body_is_rejected",
            "bad_input::bundle::an_alias_bomb_is_rejected",
        ],
        ..row("F18", "whoever serves bundles lies")
    },
    Row {
        faults: &["down"],
        stories: &[
            "restart::an_unreachable_api_server_fails_no_rollout",
            "environment::api_servers::an_api_server_that_is_killed_at_any_moment_fails_no_rollout",
        ],
        ..row("F19", "the API server is restarted")
    },
    Row {
        stories: &[
            "restart::a_lost_status_is_rebuilt_without_an_install",
            "environment::api_servers::a_restored_older_etcd_is_continued_from",
        ],
        table: &["a_ledger_that_was_lost_in_mid_rollout_still_covers_touched_releases"],
        ..row("F20", "etcd is restored to an older snapshot")
    },
    Row {
        faults: &["watch-410", "watch-stall", "watch-drop"],
        note: "what a watch drops or a silent watch keeps back is found by the next list, within 50 s; the hub is not \
               listed from time to time, so an event that its watch lost would stay unknown until it begins anew",
        ..row("F21", "a watch expires, is silent, or loses an event")
    },
    Row {
        faults: &["watch-stale", "watch-duplicate"],
        ..row("F22", "an older or a repeated event")
    },
    Row {
        stories: &[
            "supersession::a_third_version_supersedes_the_one_in_progress",
            "supersession::assigning_the_previous_version_during_an_upgrade_rolls_back_at_once",
            "environment::many_add_ons::a_flapping_assignment_ends_in_its_last_version",
        ],
        table: &[
            "before_the_first_write_another_assignment_replaces_the_target",
            "in_mid_rollout_a_third_version_becomes_the_target",
            "a_rollback_is_finished_whatever_is_assigned_meanwhile",
        ],
        ..row("F23", "the assignment changes in each phase")
    },
    Row {
        table: &[
            "an_ordered_deletion_starts_the_uninstall_in_every_phase",
            "a_recreated_managed_add_on_is_installed_from_scratch",
        ],
        stories: &[
            "removal::uninstall_removes_everything_in_reverse_order",
            "environment::many_add_ons::an_add_on_that_was_deleted_during_a_rollout_and_recreated_is_installed",
        ],
        ..row("F24", "the assignment is deleted, or made anew, in each phase")
    },
    Row {
        stories: &[
            "hub::an_observed_deletion_uninstalls_and_an_absence_does_not",
            "environment::api_servers::a_hub_restored_from_an_old_backup_uninstalls_nothing",
            "fleet::an_eviction_leaves_everything_and_shows_orphaned",
        ],
        ..row("F25", "the hub is restored from a backup: every add-on is absent")
    },
    Row {
        stories: &["restart::objects_that_others_edit_or_delete_are_repaired"],
        ..row("F26", "others edit or delete what is ours")
    },
    Row {
        table: &[
            "a_break_in_health_starts_the_soak_again",
            "time_without_observations_does_not_end_the_soak",
        ],
        ..row("F27", "health comes and goes")
    },
    Row {
        table: &[
            "a_break_in_health_starts_the_soak_again",
            "an_object_may_be_failed_for_less_than_ten_seconds",
        ],
        stories: &[
            "at_rest::a_version_that_becomes_unhealthy_in_its_soak_is_rolled_back",
            "at_rest::an_unhealthy_release_at_rest_is_degraded_and_not_rolled_back",
        ],
        ..row("F28", "a failure late in the soak")
    },
    Row {
        table: &["a_rollback_that_does_not_succeed_in_time_fails"],
        ..row("F29", "the old version fails too after the rollback")
    },
    Row {
        note: "no journal on disk; a body on its way needs room, and no room is a passing fault of the pull",
        stories: &[
            "environment::resources::without_disk_space_a_version_is_rejected_and_the_current_one_stays",
        ],
        table: &["a_pull_with_ten_transient_faults_is_rejected_and_retried_later"],
        ..row("F30", "no space at each file operation")
    },
    Row {
        note: "no journal on disk: nothing is synced; the folder that takes no files is tried with F30",
        stories: &[
            "environment::resources::without_disk_space_a_version_is_rejected_and_the_current_one_stays",
        ],
        ..row("F31", "errors of fsync, a file system that turns read-only")
    },
    Row {
        stories: &[
            "environment::resources::without_file_descriptors_the_agent_waits_and_continues",
        ],
        note: "no inodes: as no space",
        ..row("F32", "no inodes, no file descriptors")
    },
    Row {
        stories: &["prerequisites::a_lost_release_is_retained_again"],
        table: &["a_rollback_whose_release_is_gone_fails"],
        note: "a retained release is a Secret; it is hashed when it is read",
        ..row("F33", "a retained release is damaged or gone")
    },
    Row {
        stories: &["environment::clock::a_jump_of_ten_years_ends_no_rollout_early_or_late"],
        table: &["no_length_of_time_overflows", "an_operation_never_ends_before_it_began"],
        ..row("F34", "the clock jumps by ten years")
    },
    Row {
        stories: &["environment::api_servers::time_in_which_the_agent_was_frozen_is_not_counted"],
        table: &["time_without_observations_does_not_end_the_soak"],
        note: "no machine is suspended here; what is measured is the time between two looks that were answered",
        ..row("F35", "suspended for an hour")
    },
    Row {
        faults: &["401"],
        stories: &[
            "hub::the_hub_may_appear_later_and_its_credentials_may_change",
            "environment::credentials::hub_credentials_that_become_unusable_do_not_interrupt_the_connection",
        ],
        ..row("F36", "the hub's credentials are rotated or expire")
    },
    Row {
        faults: &["401"],
        stories: &["environment::credentials::a_renewed_token_is_used_during_a_rollout"],
        ..row("F37", "the agent's own token is rotated")
    },
    Row {
        stories: &[
            "restart::only_one_of_two_agents_writes",
            "restart::an_agent_that_lost_its_lease_while_frozen_stops_writing",
        ],
        ..row("F38", "two agents")
    },
    Row {
        stories: &[
            "environment::newer_ledger::a_ledger_of_a_newer_agent_is_left_alone_in_every_lasting_phase",
        ],
        table: &[
            "a_ledger_of_another_format_is_refused",
            "a_saved_ledger_is_loaded_with_its_history",
        ],
        ..row("F39", "the agent is replaced by a newer one and back")
    },
    Row {
        faults: &["kill-before", "kill-unanswered", "kill-after"],
        note: "to the agent a reboot is a kill: it keeps nothing but what the API server has",
        ..row("F40", "the node is rebooted, the agent evicted")
    },
    Row {
        faults: &["delay", "slow-link", "slow-body", "reset"],
        note: "a processor that is taken away is not tried; a lost packet is a delay or a reset",
        ..row("F41", "a slow link")
    },
    Row {
        stories: &[
            "rollout::a_failing_add_on_does_not_delay_another",
            "environment::many_add_ons::one_failing_add_on_of_fifty_harms_no_other",
        ],
        ..row("F42", "many add-ons at once, one of them bad")
    },
];

/// As it is listed: a row, and under it how it is tried.
pub fn lines() -> impl Iterator<Item = String> {
    MATRIX.iter().flat_map(|row| {
        let words = |head: &str, words: &[&str]| {
            (!words.is_empty()).then(|| format!("       {head}: {}", words.join(", ")))
        };
        let note: Vec<&str> = [row.note].into_iter().filter(|note| !note.is_empty()).collect();
        let ways = [
            words("faults", row.faults),
            words("stories", row.stories),
            words("table", row.table),
            words("note", &note),
        ];
        let head = format!("  {:<4} {}", row.id, row.what);
        std::iter::once(head).chain(ways.into_iter().flatten())
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use testbed::fault_proxy::Fault;

    use super::*;

    fn source(path: &str) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    #[test]
    fn every_row_is_there_once_and_says_how() {
        for (number, row) in MATRIX.iter().enumerate() {
            assert_eq!(row.id, format!("F{}", number + 1));
            let tried = row.faults.len() + row.stories.len() + row.table.len();
            assert!(tried > 0 || !row.note.is_empty(), "{} says nothing", row.id);
        }
    }

    #[test]
    fn every_fault_is_in_a_row_and_every_name_is_a_fault() {
        let named: BTreeSet<&str> = MATRIX
            .iter()
            .flat_map(|row| row.faults)
            .copied()
            .filter(|name| *name != "twice")
            .collect();
        let known: BTreeSet<&str> = Fault::all().map(Fault::name).collect();
        assert_eq!(named, known);
    }

    #[test]
    fn every_story_is_told() {
        let main = source("stories/main.rs");
        for story in MATRIX.iter().flat_map(|row| row.stories) {
            let (module, name) = story.rsplit_once("::").unwrap();
            let text = source(&format!("stories/{}.rs", module.replace("::", "/")));
            assert!(text.contains(&format!("pub async fn {name}(")), "there is no story {story}");
            assert!(main.contains(&format!("story!({story})")), "{story} is not listed");
        }
    }

    #[test]
    fn every_test_of_the_table_is_there() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../agent/lifecycle/tests/table");
        let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
        let table: String = files.map(|file| std::fs::read_to_string(file).unwrap()).collect();
        for name in MATRIX.iter().flat_map(|row| row.table) {
            assert!(table.contains(&format!("fn {name}()")), "there is no test {name}");
        }
    }
}
