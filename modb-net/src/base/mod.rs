//! The ground floor: what is computed. No I/O, no clock, no thread, and nothing of the floors above.

pub(crate) mod alarms;
pub(crate) mod buf;
pub(crate) mod deadline;
pub(crate) mod limits;
pub(crate) mod seq;
pub(crate) mod token;
