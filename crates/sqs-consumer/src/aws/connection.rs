//! One connection pool, three clients, and every SDK setting that a consumer needs to differ.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use aws_config::{BehaviorVersion, Region};
use aws_sdk_sqs::{
    Client,
    config::{
        Credentials, IdentityCache, SharedCredentialsProvider, SharedHttpClient,
        StalledStreamProtectionConfig,
        retry::{RetryConfig, RetryPartition},
        timeout::TimeoutConfig,
    },
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

use crate::queue::LONGEST_CALL;

use super::{AwsQueue, CallMetrics};

/// Where SQS is and who calls it. Everything unset is found out: from the queue's URL, else from
/// the AWS default chain (environment, profile, IRSA, EKS Pod Identity, instance metadata).
#[derive(Clone, Default)]
pub struct Options {
    /// AWS region; unset: from the queue URL, else `us-east-1`.
    pub region: Option<String>,
    /// Base URL of another SQS, such as `http://127.0.0.1:9324`.
    pub endpoint: Option<String>,
    /// Fixed credentials.
    pub credentials: Option<StaticCredentials>,
}

impl Options {
    /// Options from settings: region, endpoint, and the access key's id, secret and session token.
    pub fn new(
        region: Option<String>,
        endpoint: Option<String>,
        keys: Option<(String, String, Option<String>)>,
    ) -> Self {
        let credentials = keys.map(|(access_key_id, secret_access_key, session_token)| {
            StaticCredentials { access_key_id, secret_access_key, session_token }
        });
        Self { region, endpoint, credentials }
    }
}

/// An access key, its secret and, for temporary credentials, the session token.
#[derive(Clone)]
pub struct StaticCredentials {
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: String,
    /// `AWS_SESSION_TOKEN`.
    pub session_token: Option<String>,
}

/// Time limits of calls. The SDK's own default limits only connecting: a hung long poll would hang
/// for ever (aws-sdk-rust#1094).
#[derive(Clone, Copy, Debug)]
pub(super) struct CallTimeouts {
    /// Time to connect.
    pub(super) connect: Duration,
    /// One attempt of anything but a receive.
    pub(super) attempt: Duration,
    /// All attempts of a call together, but for receives, which are tried once.
    pub(super) operation: Duration,
    /// What a receive may take beyond its wait time.
    pub(super) receive_margin: Duration,
    /// Loading credentials: longer than the default, for slow STS answers under IRSA.
    pub(super) credentials: Duration,
    /// Idle connections are closed before the server or a NAT gateway does it silently.
    pub(super) pool_idle: Duration,
}

pub(super) const TIMEOUTS: CallTimeouts = CallTimeouts {
    connect: Duration::from_secs(3),
    attempt: Duration::from_secs(4),
    operation: LONGEST_CALL,
    receive_margin: Duration::from_secs(6),
    credentials: Duration::from_secs(10),
    pool_idle: Duration::from_secs(25),
};

/// Idle connections kept: pollers and settling calls of two queues at full load.
const POOL_MAX_IDLE: usize = 128;

/// The longest wait of a long poll, in seconds (AWS SQS API reference, `ReceiveMessage`).
const LONGEST_WAIT: usize = 20;

/// One shared connection pool and three clients on it, each with a retry budget of its own. The
/// SDK's default budget is shared process-wide per service and region.
#[derive(Clone, Debug)]
pub struct Connection {
    receiving: Client,
    /// The same with the time limits of long polls, by their wait in seconds. Limits that are given
    /// with each call would have the SDK build its configuration anew for each.
    polling: Arc<[OnceLock<Client>; LONGEST_WAIT + 1]>,
    settling: Client,
    sending: Client,
}

impl Connection {
    /// Prepares the clients; sends nothing, so SQS need not be there yet.
    ///
    /// `queue_url` supplies the region and, where its host is not AWS's, the endpoint, unless the
    /// options name them.
    pub async fn open(options: Options, queue_url: Option<&str>, calls: CallMetrics) -> Self {
        let endpoint = options.endpoint.or_else(|| queue_url.and_then(endpoint_of));
        let region = options.region.or_else(|| queue_url.and_then(region_of));
        let region = Region::new(region.unwrap_or_else(|| "us-east-1".to_owned()));
        // Real credentials never go out in plain text: an http:// endpoint gets fixed dummies
        // unless the caller names credentials.
        let plain = endpoint.as_deref().is_some_and(|url| url.starts_with("http://"));
        let credentials = match options.credentials {
            Some(c) => Some(Credentials::new(
                c.access_key_id,
                c.secret_access_key,
                c.session_token,
                None,
                "settings",
            )),
            None if plain => Some(Credentials::new("local", "local", None, None, "local")),
            None => None,
        };

        let http = http_client(plain);
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(http)
            .region(region)
            .retry_config(RetryConfig::standard())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .identity_cache(IdentityCache::lazy().load_timeout(TIMEOUTS.credentials).build());
        if let Some(credentials) = credentials {
            loader = loader.credentials_provider(SharedCredentialsProvider::new(credentials));
        }
        if let Some(endpoint) = endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        let shared = loader.load().await;

        let limits = TimeoutConfig::builder()
            .connect_timeout(TIMEOUTS.connect)
            .operation_attempt_timeout(TIMEOUTS.attempt)
            .operation_timeout(TIMEOUTS.operation)
            .build();
        let client = |partition: &'static str, retry: RetryConfig| {
            let config = aws_sdk_sqs::config::Builder::from(&shared)
                .retry_partition(RetryPartition::custom(partition).build())
                .retry_config(retry)
                .timeout_config(limits.clone())
                .interceptor(calls.clone())
                .build();
            Client::from_conf(config)
        };
        Self {
            // A receive is not retried inside the SDK: the consumer's loop does it, with its own
            // backoff, and each answer that got lost keeps messages leased for nothing.
            receiving: client("receive", RetryConfig::disabled()),
            polling: Arc::default(),
            settling: client("settle", RetryConfig::standard()),
            sending: client("send", RetryConfig::standard()),
        }
    }

    /// The queue at `url`; `dead_letter_url` is where messages are sent that this worker gives up.
    pub fn queue(&self, url: &str, dead_letter_url: Option<&str>) -> AwsQueue {
        AwsQueue::new(self.clone(), url, dead_letter_url)
    }

    /// For receives that do not wait, or that bring their own attempt timeout.
    pub fn receiving(&self) -> &Client {
        &self.receiving
    }

    /// For receives that wait so long: the time limit is the wait, in whole seconds, and a margin.
    pub(super) fn receiving_for(&self, wait: Duration) -> &Client {
        let seconds = (wait.as_secs() as usize).min(LONGEST_WAIT);
        self.polling[seconds].get_or_init(|| {
            let limit = Duration::from_secs(seconds as u64) + TIMEOUTS.receive_margin;
            let limits = TimeoutConfig::builder()
                .connect_timeout(TIMEOUTS.connect)
                .operation_attempt_timeout(limit)
                .operation_timeout(limit)
                .build();
            Client::from_conf(self.receiving.config().to_builder().timeout_config(limits).build())
        })
    }

    /// For deletes, visibility changes and attributes.
    pub fn settling(&self) -> &Client {
        &self.settling
    }

    /// For sends.
    pub fn sending(&self) -> &Client {
        &self.sending
    }
}

/// Without TLS no trust store is loaded, which a small idle process notices.
fn http_client(plain: bool) -> SharedHttpClient {
    let builder = aws_smithy_http_client::Builder::new()
        .pool_idle_timeout(TIMEOUTS.pool_idle)
        .pool_max_idle_per_host(POOL_MAX_IDLE);
    if plain {
        builder.build_http()
    } else {
        builder.tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
    }
}

/// `scheme://host:port` of a URL.
fn origin(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split('/').next().filter(|host| !host.is_empty())?;
    Some((scheme, host))
}

fn is_aws(host: &str) -> bool {
    let host = host.split(':').next().unwrap_or(host);
    host.ends_with(".amazonaws.com")
        || host.ends_with(".amazonaws.com.cn")
        || host.ends_with(".api.aws")
}

/// The endpoint of a queue that is not on AWS; AWS's own is found by region.
fn endpoint_of(queue_url: &str) -> Option<String> {
    let (scheme, host) = origin(queue_url)?;
    // A VPC endpoint is AWS too, but not the one that the region stands for.
    (!is_aws(host) || host.contains(".vpce.")).then(|| format!("{scheme}://{host}"))
}

/// The region in `sqs.<region>.amazonaws.com`, `sqs-fips.<region>...`, the older
/// `<region>.queue.amazonaws.com`, or a VPC endpoint's `<id>.sqs.<region>.vpce.amazonaws.com`.
fn region_of(queue_url: &str) -> Option<String> {
    let (_, host) = origin(queue_url).filter(|(_, host)| is_aws(host))?;
    let labels: Vec<&str> = host.split('.').collect();
    let region = match labels.as_slice() {
        ["sqs" | "sqs-fips", region, ..] if *region != "amazonaws" => region,
        [region, "queue", ..] | [_, "sqs", region, "vpce", ..] => region,
        _ => return None,
    };
    Some((*region).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_is_taken_from_an_aws_queue_url_only() {
        for (url, region) in [
            ("https://sqs.eu-central-1.amazonaws.com/123456789012/orders", Some("eu-central-1")),
            ("https://sqs.cn-north-1.amazonaws.com.cn/123456789012/orders", Some("cn-north-1")),
            ("https://us-west-2.queue.amazonaws.com/123456789012/orders", Some("us-west-2")),
            ("https://vpce-1.sqs.eu-west-1.vpce.amazonaws.com/1/orders", Some("eu-west-1")),
            ("https://queue.amazonaws.com/123456789012/orders", None),
            ("http://127.0.0.1:9324/000000000000/orders", None),
            ("nonsense", None),
        ] {
            assert_eq!(region_of(url).as_deref(), region, "{url}");
        }
    }

    #[test]
    fn a_queue_url_outside_aws_names_the_endpoint() {
        assert_eq!(
            endpoint_of("http://localhost:9324/000000000000/orders").as_deref(),
            Some("http://localhost:9324")
        );
        let vpc = "https://vpce-1.sqs.eu-west-1.vpce.amazonaws.com";
        assert_eq!(endpoint_of(&format!("{vpc}/1/orders")).as_deref(), Some(vpc));
        assert_eq!(endpoint_of("https://sqs.eu-west-1.amazonaws.com/1/orders"), None);
    }
}
