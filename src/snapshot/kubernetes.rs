//! The API server as a source: conversion of its objects, lists for one-shot use, watches for the controller.

pub mod convert;
pub mod list;
pub mod watch;
