//! Stories on real API servers: each assigns, disturbs, waits and looks, as a person would.
//!
//! Stories run side by side on one managed cluster with one agent, each with add-ons and namespaces of its own; those
//! that stop, cut off or restart something have clusters of their own.

mod harness;

mod adoption;
mod at_rest;
mod bad_input;
mod daemon;
mod delivery;
mod environment;
mod evidence;
mod fleet;
mod health;
mod hooks;
mod hub;
mod policy;
mod prerequisites;
mod registry;
mod removal;
mod restart;
mod rollback;
mod rollback_safety;
mod rollout;
mod samples;
mod supersession;
mod waiting;

use std::process::ExitCode;
use std::time::Duration;

/// What happens by itself within a minute, on a loaded machine.
pub const LONG: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    harness::run(vec![
        story!(rollout::installs_upgrades_and_prunes),
        story!(rollout::rolls_back_what_does_not_become_ready),
        story!(rollout::a_failed_first_install_removes_what_it_made),
        story!(rollout::one_that_fails_does_not_slow_another),
        story!(rollout::a_job_runs_once_and_not_again_on_the_way_back),
        story!(rollout::a_job_that_ran_and_is_gone_is_not_run_by_the_next_version),
        story!(rollout::custom_resources_come_with_their_definition),
        story!(health::a_rule_of_its_own_gates_an_upgrade_and_its_failure_goes_back),
        story!(health::what_was_not_whole_before_an_upgrade_does_not_fail_it),
        story!(hooks::what_verifies_runs_once_an_operation_and_its_failure_goes_back),
        story!(hooks::what_prepares_an_upgrade_refuses_it_when_it_fails),
        story!(hooks::an_install_is_verified_and_not_prepared),
        story!(supersession::a_third_version_takes_the_place_of_one_under_way),
        story!(supersession::going_back_to_where_we_came_from_rolls_back_at_once),
        story!(supersession::another_values_set_is_an_upgrade_and_a_policy_alone_starts_nothing),
        story!(policy::pause_holds_what_is_new_and_lets_go),
        story!(policy::a_failed_version_is_tried_again_only_when_asked),
        story!(policy::on_failure_hold_stays_where_it_failed),
        story!(policy::a_requested_rollback_goes_to_the_previous_version),
        story!(waiting::outside_its_windows_nothing_new_starts),
        story!(waiting::what_needs_another_add_on_waits_and_guards_it),
        story!(removal::uninstall_removes_everything_in_reverse_order),
        story!(removal::what_holds_data_or_is_others_stays),
        story!(removal::removing_says_what_blocks),
        story!(removal::an_operator_outlives_what_a_later_version_gave_it),
        story!(removal::what_is_going_anyway_keeps_no_namespace),
        story!(removal::orphan_leaves_everything),
        story!(prerequisites::a_namespace_that_is_dropped_stays_while_anything_kept_is_in_it),
        story!(prerequisites::a_definition_stays_while_others_have_objects_of_it),
        story!(prerequisites::a_namespace_stays_for_others_objects_of_any_version),
        story!(prerequisites::a_definition_and_its_objects_go_together),
        story!(prerequisites::a_webhook_that_changed_for_the_worse_does_not_stop_the_way_back),
        story!(prerequisites::a_webhook_that_locks_the_agent_out_is_refused),
        story!(prerequisites::a_lost_release_is_retained_anew),
        story!(rollback::a_stateful_set_is_freed_of_pods_that_never_become_ready),
        story!(rollback::a_deployment_is_recreate_again),
        story!(rollback::a_claim_that_grew_stays_and_the_rest_goes_back),
        story!(rollback::a_job_of_the_version_that_failed_is_ended),
        story!(rollback::an_operator_outlives_what_it_cares_for),
        story!(rollback::what_is_not_served_any_more_is_told),
        story!(rollback::what_is_not_served_any_more_is_removed),
        story!(rollback_safety::a_definition_that_would_harm_living_objects_is_refused),
        story!(rollback_safety::going_back_leaves_a_definition_whose_objects_would_lose_fields),
        story!(rollback_safety::what_cannot_be_gone_back_from_waits_for_a_word),
        story!(rollback_safety::what_the_check_warns_of_stops_nothing),
        story!(rollback_safety::whoever_says_proceed_goes_back_as_far_as_it_goes),
        story!(adoption::existing_objects_are_taken_over_whole),
        story!(adoption::what_a_failed_version_took_over_stays),
        story!(restart::a_killed_agent_goes_on_where_it_was),
        story!(restart::a_lost_status_is_rebuilt_without_an_install),
        story!(restart::a_status_that_cannot_be_read_is_made_anew),
        story!(restart::an_unreachable_api_server_fails_nothing),
        story!(restart::only_one_of_two_agents_writes),
        story!(restart::an_agent_that_was_frozen_writes_no_more),
        story!(restart::what_others_change_or_delete_is_put_back),
        story!(registry::a_version_comes_from_a_registry_that_going_back_does_not_need),
        story!(registry::a_registry_gets_the_credentials_it_asks_for),
        story!(registry::credentials_do_not_follow_where_a_registry_sends),
        story!(registry::what_is_no_bundle_is_refused),
        story!(registry::what_a_registry_spoils_is_refused),
        story!(registry::a_file_that_was_cut_is_resumed),
        story!(environment::certificate_authorities::those_in_its_bundle_are_believed_as_it_is_at_each_pull),
        story!(environment::certificate_authorities::none_of_them_leads_it_to_plain_http),
        story!(environment::clock::a_jump_of_ten_years_ends_no_rollout_early_or_late),
        story!(environment::crash_loop::a_version_that_ends_the_agent_is_rolled_back_after_three_deaths),
        story!(environment::crash_loop::where_the_way_back_ends_the_agent_too_it_stays_until_asked),
        story!(environment::credentials::rights_that_are_taken_and_given_back_lose_nothing),
        story!(environment::credentials::rights_that_are_taken_in_mid_apply_are_rolled_back_from),
        story!(environment::credentials::a_renewed_token_is_taken_up_in_mid_rollout),
        story!(environment::credentials::hub_credentials_that_break_are_missed_by_nobody),
        story!(environment::many_add_ons::one_of_fifty_that_is_poisoned_harms_no_other),
        story!(environment::many_add_ons::an_assignment_that_flaps_ends_where_it_ends),
        story!(environment::many_add_ons::deleted_in_mid_rollout_and_made_anew_it_is_installed),
        story!(environment::many_add_ons::ended_in_any_phase_it_goes_on),
        story!(environment::resources::no_room_for_a_bundle_is_told_and_the_running_version_stays),
        story!(environment::resources::without_descriptors_it_waits_and_goes_on),
        story!(environment::newer_ledger::a_newer_ledger_is_left_alone_in_every_phase_that_lasts),
        story!(environment::api_servers::an_api_server_killed_anywhere_fails_nothing),
        story!(environment::api_servers::an_api_server_that_answers_nothing_fails_nothing),
        story!(environment::api_servers::an_older_etcd_is_gone_on_from),
        story!(environment::api_servers::a_hub_restored_from_an_old_backup_uninstalls_nothing),
        story!(environment::api_servers::time_in_which_the_agent_stood_still_is_not_counted),
        story!(at_rest::what_stops_being_well_is_degraded_and_nothing_else),
        story!(at_rest::what_stops_being_well_in_the_soak_is_rolled_back),
        story!(at_rest::what_others_change_is_shown),
        story!(at_rest::while_nothing_changes_no_whole_object_is_read),
        story!(evidence::what_failed_is_kept_before_it_is_gone),
        story!(evidence::what_may_not_be_read_is_said_so),
        story!(hub::the_readmes_way_without_ocm_leads_to_an_agent_and_its_hub),
        story!(hub::what_the_hub_assigns_is_installed_and_reported),
        story!(hub::offline_it_rolls_back_and_the_newest_report_arrives_once),
        story!(hub::what_cannot_be_assigned_is_told_and_changes_nothing),
        story!(hub::a_plain_template_is_an_inline_bundle),
        story!(hub::a_deletion_that_is_seen_uninstalls_and_an_absence_does_not),
        story!(hub::a_managed_add_on_of_others_is_left_alone),
        story!(hub::the_hub_may_come_later_and_its_credentials_may_change),
        story!(fleet::an_eviction_leaves_everything_and_shows_it),
        story!(fleet::a_removal_waits_for_the_hub_and_is_done_if_it_was_ordered),
        story!(fleet::what_is_noted_too_early_is_taken_back),
        story!(samples::the_samples_are_taken_and_their_rule_is_right),
        story!(delivery::the_hub_takes_its_manifests),
        story!(delivery::templates_that_no_agent_could_follow_are_refused),
        story!(delivery::an_agent_writes_for_its_own_cluster_only),
        story!(delivery::removing_the_agent_first_neither_hangs_nor_loses_anything),
        story!(delivery::removed_by_hand_in_the_right_order_it_leaves_what_runs),
        story!(delivery::what_is_being_uninstalled_goes_before_the_agent),
        story!(daemon::the_crd_in_manifests_is_the_one_of_the_types),
        story!(daemon::without_the_crd_the_agent_waits_and_says_so),
        story!(daemon::sigterm_ends_it_in_mid_rollout),
        story!(daemon::metrics_tell_the_story_in_closed_labels),
        story!(bad_input::assignment::the_api_refuses_what_is_no_assignment),
        story!(bad_input::assignment::the_api_refuses_the_reserved_name),
        story!(bad_input::assignment::refuses_fields_without_meaning),
        story!(bad_input::assignment::refuses_a_step_down_that_the_policy_forbids),
        story!(bad_input::assignment::refuses_a_step_up_that_the_policy_forbids),
        story!(bad_input::assignment::refuses_a_version_that_cannot_follow_the_running_one),
        story!(bad_input::assignment::refuses_a_version_for_another_kubernetes),
        story!(bad_input::assignment::refuses_the_running_version_with_other_content),
        story!(bad_input::source::refuses_other_bytes_than_were_assigned),
        story!(bad_input::source::refuses_a_truncated_body),
        story!(bad_input::source::resumes_where_the_connection_was_cut),
        story!(bad_input::source::begins_anew_where_a_server_cannot_resume),
        story!(bad_input::source::takes_what_is_whole_though_its_length_was_overstated),
        story!(bad_input::source::says_when_there_is_no_such_file),
        story!(bad_input::source::says_when_nobody_serves),
        story!(bad_input::source::rides_out_an_errors_end),
        story!(bad_input::source::gives_up_on_lasting_errors_until_asked_again),
        story!(bad_input::source::ends_an_endless_body),
        story!(bad_input::source::gives_up_on_a_byte_a_second),
        story!(bad_input::source::leaves_a_circle_of_redirects),
        story!(bad_input::bundle::refuses_what_is_not_yaml),
        story!(bad_input::bundle::refuses_duplicate_keys),
        story!(bad_input::bundle::refuses_an_alias_bomb),
        story!(bad_input::bundle::refuses_fifty_megabytes_of_yaml),
        story!(bad_input::bundle::refuses_what_no_secret_can_hold),
        story!(bad_input::bundle::refuses_objects_without_one_identity),
        story!(bad_input::bundle::refuses_an_empty_bundle),
        story!(bad_input::bundle::refuses_a_sharply_shrunk_bundle_unless_it_is_meant),
        story!(bad_input::bundle::tells_nobody_what_a_refused_secret_holds),
        story!(bad_input::cluster::refuses_kinds_that_the_server_does_not_know),
        story!(bad_input::cluster::refuses_objects_that_the_server_refuses),
        story!(bad_input::cluster::waits_for_a_missing_namespace),
        story!(bad_input::cluster::leaves_an_object_of_nobody_alone),
        story!(bad_input::cluster::leaves_another_add_ons_object_alone),
        story!(bad_input::cluster::says_which_rights_an_account_lacks),
        story!(bad_input::immutable::refuses_to_change_what_holds_data),
        story!(bad_input::immutable::replaces_what_loses_nothing_by_it),
        story!(bad_input::limits::refuses_what_a_quota_leaves_no_room_for),
        story!(bad_input::limits::refuses_what_a_living_definition_forbids),
        story!(bad_input::health::goes_back_from_pods_that_never_become_ready),
        story!(bad_input::health::goes_back_from_an_image_that_cannot_be_pulled),
        story!(bad_input::health::goes_back_where_a_quota_refuses_pods),
    ])
}
