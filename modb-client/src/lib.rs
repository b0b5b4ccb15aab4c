//! A client library for Modb and Redis.
