//! Causes in endpoints, their probes and the life of pods.

pub(super) mod pods;

super::group![
    config_or_secret_missing,
    crash_loop,
    eps_all_not_ready,
    eps_manual_no_conditions,
    eps_manual_stale,
    eps_orphan_slice,
    image_pull_failed,
    init_container_stuck,
    liveness_kills,
    no_readiness_slow_start,
    pod_creation_rejected,
    pod_evicted_or_drained,
    pod_pending_unschedulable,
    publish_not_ready_addresses,
    quota_blocks_pods,
    readiness_depends_on_dependency,
    readiness_gate_false,
    readiness_probe_misconfigured,
    rollout_stuck_new_rs_bad,
    rollout_unavailable,
    sandbox_cni_failed,
    scaled_to_zero,
    startup_probe_too_short,
    volume_mount_failed,
];
