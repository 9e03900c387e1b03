//! The entrance: takes orders over HTTP and publishes them to SQS.
