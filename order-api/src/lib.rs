//! The entrance of the fleet: takes orders over HTTP and publishes them to SQS.
//!
//! `POST /api/orders` goes through three steps, each in a module of its own:
//!
//! 1. The request is read and every invalid part of it is found (`body`, `order`).
//! 2. The order becomes an [`order_events::OrderEvent`] with its id (`routes`); one with an
//!    `Idempotency-Key` the same as before (`keys`).
//! 3. The `publisher` sends it. Only when SQS has confirmed this very message is the request
//!    answered with 202; whatever else happens is a 503 that says when to try again.
//!
//! What became of an order is asked of a delivery worker (`deliveries`). Every route is in one list
//! (`endpoints`), of which both the router and the OpenAPI document are made; the pages for people
//! are made of the document (`pages`).
//!
//! Nothing is accepted and then lost, and nothing waits without bound: the publisher admits so many
//! orders and no more. A client that gives up does not stop its order half way.
//!
//! [`Service::build`] binds and connects nothing else; [`Service::run`] serves until its shutdown is
//! requested. SQS may come later: the service is alive, and not ready until its queues answer.

mod body;
mod cross_origin;
mod deliveries;
mod endpoints;
mod held;
mod keys;
mod metrics;
mod openapi;
mod order;
mod pages;
mod problem;
mod publisher;
mod room;
mod routes;
mod service;
mod settings;

pub use cross_origin::Origins;
pub use openapi::openapi_json;
pub use order::limits;
pub use service::Service;
pub use settings::{KeySettings, PublishSettings, Settings};
