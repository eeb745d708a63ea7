//! Causes in endpoints, their probes and the life of pods.

pub(super) mod pods;

super::group![
    config_or_secret_missing,
    crash_loop,
    eps_all_not_ready,
    eps_manual_stale,
    image_pull_failed,
    pod_pending_unschedulable,
    readiness_probe_misconfigured,
    scaled_to_zero,
];
