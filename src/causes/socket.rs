//! Causes in the listening socket.

super::group![
    accept_without_service,
    app_binds_loopback,
    app_fd_limit,
    app_listens_one_family,
    app_not_listening_yet,
    app_wrong_port,
    listen_backlog_full
];
