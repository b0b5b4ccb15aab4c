//! Where the suite runs and what it runs against: the parameter of every scenario.

use crate::binary;
use crate::sys;

/// What decides whether a scenario can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    /// The server is a Windows program, under Windows or Wine.
    Windows,
    /// The server is a Windows program under Wine.
    Wine,
    /// The server is a Windows program under Wine, and the scenario itself runs on Linux.
    Crossed,
    /// The scenario itself runs on Windows or Wine (the server then does, too).
    WindowsHost,
    /// The server under test is redis-server.
    Redis,
}

/// What is under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    /// modb-server.
    Modb,
    /// redis-server, to prove the scenarios.
    Redis,
}

/// What is under test, and where.
#[derive(Clone, Debug)]
pub struct Platform {
    /// The server.
    pub product: Product,
    /// Whether the server is a Windows program.
    pub windows_server: bool,
    /// Whether Wine stands in for Windows.
    pub wine: bool,
}

impl Platform {
    /// Reads the environment.
    pub fn here() -> Self {
        let redis = std::env::var_os("MODB_TEST_SERVER").is_some_and(|v| v == "redis");
        let product = if redis { Product::Redis } else { Product::Modb };
        let windows_server = match product {
            Product::Modb => binary::server_is_exe(),
            Product::Redis => false,
        };
        Self { product, windows_server, wine: windows_server && (!sys::IS_WINDOWS || sys::under_wine()) }
    }

    /// Whether it is this place.
    pub fn is(&self, place: Where) -> bool {
        match place {
            Where::Windows => self.windows_server,
            Where::Wine => self.wine,
            Where::Crossed => self.windows_server && !sys::IS_WINDOWS,
            Where::WindowsHost => sys::IS_WINDOWS,
            Where::Redis => self.product == Product::Redis,
        }
    }
}
