//! Stories on real API servers. Each assigns a version, disturbs something, waits and compares, as a person would.
//!
//! Stories run side by side on one managed cluster with one agent, each with add-ons and namespaces of its own. A story
//! that stops, disconnects or restarts something has a cluster of its own.

mod harness;

mod adoption;
mod at_rest;
mod bad_input;
mod cases;
mod daemon;
mod delivery;
mod edited_items;
mod environment;
mod evidence;
mod fleet;
mod fresh_form;
mod health;
mod hooks;
mod hub;
mod policy;
mod prerequisites;
mod refused_objects;
mod registry;
mod removal;
mod restart;
mod rollback;
mod rollback_safety;
mod rollout;
mod samples;
mod supersession;
mod waiting;
mod webhooks;

use std::process::ExitCode;
use std::time::Duration;

/// Longest wait for what takes less than a minute on an idle machine.
pub const TIMEOUT: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    harness::run(vec![
        story!(rollout::an_add_on_is_installed_upgraded_and_pruned),
        story!(rollout::a_version_that_never_becomes_ready_is_rolled_back),
        story!(rollout::a_failed_first_install_removes_its_objects),
        story!(rollout::a_failing_add_on_does_not_delay_another),
        story!(rollout::a_job_runs_once_and_not_again_in_a_rollback),
        story!(rollout::a_finished_and_deleted_job_is_not_run_again_by_the_next_version),
        story!(rollout::custom_resources_are_installed_together_with_their_crd),
        story!(health::a_health_rule_gates_an_upgrade_and_its_failure_rolls_back),
        story!(health::a_preexisting_failure_does_not_fail_an_upgrade),
        story!(hooks::a_verify_hook_runs_once_per_operation_and_its_failure_rolls_back),
        story!(hooks::a_failed_pre_upgrade_hook_rejects_the_upgrade),
        story!(hooks::an_install_runs_verify_hooks_but_no_pre_upgrade_hooks),
        story!(supersession::a_third_version_supersedes_the_one_in_progress),
        story!(supersession::assigning_the_previous_version_during_an_upgrade_rolls_back_at_once),
        story!(supersession::other_values_are_an_upgrade_and_another_policy_starts_nothing),
        story!(policy::a_paused_add_on_starts_a_new_version_only_after_the_pause),
        story!(policy::a_failed_version_is_retried_only_on_request),
        story!(policy::on_failure_hold_leaves_the_failed_version_in_place),
        story!(policy::a_requested_rollback_goes_to_the_previous_version),
        story!(waiting::outside_its_maintenance_windows_no_rollout_starts),
        story!(waiting::an_add_on_waits_for_its_requirement_and_guards_it),
        story!(removal::uninstall_removes_everything_in_reverse_order),
        story!(removal::objects_with_data_and_foreign_objects_survive_an_uninstall),
        story!(removal::the_status_names_the_object_that_blocks_a_removal),
        story!(removal::an_operator_is_removed_after_a_custom_resource_of_a_later_version),
        story!(removal::pods_that_are_still_terminating_do_not_keep_a_namespace),
        story!(removal::a_refused_deletion_keeps_nothing_else),
        story!(refused_objects::a_refused_object_keeps_no_other_from_being_restored),
        story!(removal::deletion_policy_orphan_leaves_everything),
        story!(prerequisites::a_namespace_that_a_version_dropped_stays_while_objects_of_the_add_on_are_in_it),
        story!(prerequisites::a_crd_stays_while_foreign_objects_of_its_kind_exist),
        story!(prerequisites::a_namespace_stays_for_foreign_objects_of_any_api_version),
        story!(prerequisites::a_crd_is_removed_together_with_its_objects),
        story!(prerequisites::a_webhook_that_became_stricter_does_not_block_the_rollback),
        story!(prerequisites::a_webhook_that_locks_the_agent_out_is_rejected),
        story!(webhooks::a_webhook_that_does_not_answer_is_repaired_by_the_next_version),
        story!(webhooks::a_version_whose_webhook_does_not_answer_is_gone_back_from),
        story!(webhooks::a_webhook_that_stops_answering_does_not_block_the_rollback),
        story!(webhooks::a_rollback_keeps_what_others_wrote_into_a_webhook),
        story!(webhooks::a_policy_that_refuses_the_old_version_does_not_block_the_rollback),
        story!(prerequisites::a_lost_release_is_retained_again),
        story!(rollback::pods_that_never_become_ready_do_not_block_a_stateful_set),
        story!(rollback::a_deployment_returns_to_the_strategy_recreate),
        story!(rollback::a_claim_that_grew_stays_and_everything_else_is_rolled_back),
        story!(rollback::a_job_of_the_failed_version_is_ended),
        story!(rollback::an_operator_is_pruned_after_its_custom_resource),
        story!(rollback::an_api_version_that_is_not_served_any_more_makes_a_rollback_unsafe),
        story!(rollback::an_object_of_an_api_version_that_is_not_served_any_more_is_removed),
        story!(rollback_safety::a_crd_that_would_lose_data_of_existing_objects_is_rejected),
        story!(rollback_safety::a_rollback_keeps_a_crd_whose_objects_would_lose_fields),
        story!(rollback_safety::an_upgrade_without_a_safe_rollback_waits_for_consent),
        story!(rollback_safety::warnings_of_the_check_stop_nothing),
        story!(rollback_safety::an_unsafe_rollback_with_consent_restores_as_much_as_possible),
        story!(adoption::an_adoption_takes_what_the_bundle_sets_and_leaves_the_rest),
        story!(adoption::objects_that_a_failed_version_adopted_stay),
        story!(cases::secrets::keys_of_string_data_go_with_their_version),
        story!(cases::keep_marks::an_upgrade_keeps_marked_objects_that_it_drops),
        story!(cases::keep_marks::an_uninstall_keeps_marked_objects_and_their_namespace),
        story!(cases::renamed::the_claim_of_a_deleted_add_on_can_be_adopted),
        story!(cases::unreadable::a_namespace_stays_while_an_aggregated_api_is_down),
        story!(cases::unreadable::an_uninstall_needs_no_conversion_webhook),
        story!(cases::unreadable::claims_stay_although_a_stateful_set_would_take_them_along),
        story!(cases::controller_fields::nobody_fights_over_fields_of_controllers),
        story!(edited_items::items_with_an_edited_key_are_put_back),
        story!(fresh_form::after_an_upgrade_and_the_way_back_every_object_is_as_a_fresh_install_makes_it),
        story!(restart::a_killed_agent_continues_where_it_was),
        story!(restart::a_lost_status_is_rebuilt_without_an_install),
        story!(restart::an_unreadable_status_is_rebuilt_from_the_ledger),
        story!(restart::an_unreachable_api_server_fails_no_rollout),
        story!(restart::only_one_of_two_agents_writes),
        story!(restart::an_agent_that_lost_its_lease_while_frozen_stops_writing),
        story!(restart::objects_that_others_edit_or_delete_are_repaired),
        story!(registry::a_rollback_does_not_need_the_registry),
        story!(registry::a_registry_gets_the_credentials_that_it_requires),
        story!(registry::the_target_of_a_redirection_gets_no_credentials),
        story!(registry::an_artifact_that_is_no_bundle_is_rejected),
        story!(registry::content_that_a_registry_corrupted_is_rejected),
        story!(registry::an_interrupted_download_is_resumed),
        story!(environment::certificate_authorities::the_ca_bundle_is_read_again_at_each_pull),
        story!(environment::certificate_authorities::a_redirection_from_https_to_http_is_rejected),
        story!(environment::clock::a_jump_of_ten_years_ends_no_rollout_early_or_late),
        story!(environment::crash_loop::a_version_that_crashes_the_agent_is_rolled_back_after_three_crashes),
        story!(environment::crash_loop::a_rollback_that_crashes_the_agent_too_fails_until_a_retry),
        story!(environment::credentials::permissions_that_are_revoked_and_granted_again_lose_nothing),
        story!(environment::credentials::permissions_that_are_revoked_during_an_apply_lead_to_a_rollback),
        story!(environment::credentials::a_renewed_token_is_used_during_a_rollout),
        story!(environment::credentials::hub_credentials_that_become_unusable_do_not_interrupt_the_connection),
        story!(environment::many_add_ons::one_failing_add_on_of_fifty_harms_no_other),
        story!(environment::many_add_ons::a_flapping_assignment_ends_in_its_last_version),
        story!(environment::many_add_ons::an_add_on_that_was_deleted_during_a_rollout_and_recreated_is_installed),
        story!(environment::many_add_ons::an_agent_that_was_stopped_in_any_phase_continues),
        story!(environment::resources::without_disk_space_a_version_is_rejected_and_the_current_one_stays),
        story!(environment::resources::without_file_descriptors_the_agent_waits_and_continues),
        story!(environment::newer_ledger::a_ledger_of_a_newer_agent_is_left_alone_in_every_lasting_phase),
        story!(environment::api_servers::an_api_server_that_is_killed_at_any_moment_fails_no_rollout),
        story!(environment::api_servers::an_api_server_that_does_not_respond_fails_no_rollout),
        story!(environment::api_servers::a_restored_older_etcd_is_continued_from),
        story!(environment::api_servers::a_hub_restored_from_an_old_backup_uninstalls_nothing),
        story!(environment::api_servers::time_in_which_the_agent_was_frozen_is_not_counted),
        story!(at_rest::an_unhealthy_release_at_rest_is_degraded_and_not_rolled_back),
        story!(at_rest::a_version_that_becomes_unhealthy_in_its_soak_is_rolled_back),
        story!(at_rest::drift_and_foreign_fields_are_shown_in_a_condition),
        story!(at_rest::while_nothing_changes_the_agent_only_lists),
        story!(at_rest::a_short_loss_of_the_lease_writes_nothing_again),
        story!(evidence::evidence_of_a_failure_is_recorded_before_the_rollback),
        story!(evidence::evidence_names_what_the_agent_may_not_read),
        story!(hub::the_documented_installation_without_ocm_works),
        story!(hub::an_assignment_of_the_hub_is_installed_and_reported),
        story!(hub::an_offline_rollback_is_reported_once_when_the_hub_is_back),
        story!(hub::an_assignment_without_a_valid_template_is_rejected_and_changes_nothing),
        story!(hub::a_template_with_plain_manifests_becomes_an_inline_bundle),
        story!(hub::an_observed_deletion_uninstalls_and_an_absence_does_not),
        story!(hub::a_managed_add_on_that_hub_sync_did_not_write_is_left_alone),
        story!(hub::the_hub_may_appear_later_and_its_credentials_may_change),
        story!(fleet::an_eviction_leaves_everything_and_shows_orphaned),
        story!(fleet::a_removal_waits_for_the_hub_and_uninstalls_if_it_was_ordered),
        story!(fleet::a_premature_completion_is_removed_from_the_hub),
        story!(samples::the_samples_are_accepted_and_their_rule_is_correct),
        story!(delivery::the_hub_accepts_its_manifests),
        story!(delivery::templates_that_no_agent_could_use_are_refused),
        story!(delivery::an_agent_writes_for_its_own_cluster_only),
        story!(delivery::removing_the_agent_first_neither_hangs_nor_loses_anything),
        story!(delivery::an_agent_that_is_removed_by_hand_leaves_its_add_ons_running),
        story!(delivery::running_uninstalls_finish_before_the_agent_is_removed),
        story!(daemon::the_crd_in_manifests_equals_the_types),
        story!(daemon::without_the_crd_the_agent_waits_and_is_not_ready),
        story!(daemon::sigterm_ends_the_agent_during_a_rollout),
        story!(daemon::metrics_follow_a_rollout_with_closed_labels),
        story!(bad_input::assignment::the_api_server_refuses_invalid_assignments),
        story!(bad_input::assignment::the_api_server_refuses_reserved_names),
        story!(bad_input::assignment::meaningless_fields_are_rejected),
        story!(bad_input::assignment::a_downgrade_that_the_policy_forbids_is_rejected),
        story!(bad_input::assignment::an_upgrade_that_the_policy_forbids_is_rejected),
        story!(bad_input::assignment::a_version_that_cannot_follow_the_current_one_is_rejected),
        story!(bad_input::assignment::a_version_for_another_kubernetes_is_rejected),
        story!(bad_input::assignment::the_current_version_with_other_content_is_rejected),
        story!(bad_input::source::a_bundle_with_another_digest_is_rejected),
        story!(bad_input::source::a_truncated_body_is_rejected),
        story!(bad_input::source::a_pull_resumes_where_the_connection_was_cut),
        story!(bad_input::source::a_pull_starts_over_where_a_server_cannot_resume),
        story!(bad_input::source::a_complete_body_with_an_overstated_length_is_accepted),
        story!(bad_input::source::a_missing_file_is_reported),
        story!(bad_input::source::an_unreachable_server_is_reported),
        story!(bad_input::source::transient_server_errors_are_retried),
        story!(bad_input::source::lasting_server_errors_reject_a_version_until_a_retry),
        story!(bad_input::source::an_endless_body_is_rejected),
        story!(bad_input::source::a_body_of_one_byte_per_second_is_rejected),
        story!(bad_input::source::a_loop_of_redirections_is_rejected),
        story!(bad_input::bundle::a_bundle_that_is_not_yaml_is_rejected),
        story!(bad_input::bundle::duplicate_keys_are_rejected),
        story!(bad_input::bundle::an_alias_bomb_is_rejected),
        story!(bad_input::bundle::fifty_megabytes_of_yaml_are_rejected),
        story!(bad_input::bundle::a_release_that_no_secret_can_hold_is_rejected),
        story!(bad_input::bundle::objects_without_a_unique_identity_are_rejected),
        story!(bad_input::bundle::an_empty_bundle_is_rejected),
        story!(bad_input::bundle::a_sharply_shrunk_bundle_is_rejected_unless_it_is_allowed),
        story!(bad_input::bundle::the_content_of_a_rejected_secret_is_not_disclosed),
        story!(bad_input::cluster::kinds_that_the_server_does_not_know_are_rejected),
        story!(bad_input::cluster::objects_that_the_server_refuses_are_rejected),
        story!(bad_input::cluster::a_missing_namespace_rejects_a_version_until_a_retry),
        story!(bad_input::cluster::an_existing_object_without_an_add_on_is_left_alone),
        story!(bad_input::cluster::an_object_of_another_add_on_is_left_alone),
        story!(bad_input::cluster::missing_permissions_of_an_account_are_named),
        story!(bad_input::immutable::an_immutable_change_of_an_object_with_data_is_rejected),
        story!(bad_input::immutable::objects_without_data_are_replaced_by_an_immutable_change),
        story!(bad_input::immutable::classes_are_replaced_by_an_immutable_change),
        story!(bad_input::immutable::nothing_is_deleted_whose_new_form_would_be_refused),
        story!(bad_input::immutable::a_replaced_object_keeps_what_others_own),
        story!(bad_input::immutable::an_object_that_is_being_deleted_is_created_after_its_end),
        story!(bad_input::limits::an_object_beyond_a_quota_is_rejected),
        story!(bad_input::limits::an_object_that_an_existing_crd_forbids_is_rejected),
        story!(bad_input::health::pods_that_never_become_ready_lead_to_a_rollback),
        story!(bad_input::health::an_image_that_cannot_be_pulled_leads_to_a_rollback),
        story!(bad_input::health::pods_that_a_quota_refuses_lead_to_a_rollback),
    ])
}
