//! Causes in what is spoken on the connection.

super::group![];
