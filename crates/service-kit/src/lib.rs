//! What every service of the fleet shares: settings, telemetry, health, admin listener, shutdown.
