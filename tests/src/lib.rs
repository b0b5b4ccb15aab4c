//! The test harness: starts servers, speaks to them, and ends only what it started.
