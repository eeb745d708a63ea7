//! Causes in the listening socket.

super::group![];
