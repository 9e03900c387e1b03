//! AWS Query: the older protocol, forms in and XML out.

use crate::server_support::{FIFO, Running, STANDARD};

impl Running {
    /// A POST of a form, after which the connection closes.
    async fn form(&self, path: &str, form: &str) -> String {
        self.raw(format!(
            "POST {path} HTTP/1.1\r\nhost: sqs.example:81\r\ncontent-type: application/x-www-form-urlencoded\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{form}",
            form.len()
        ))
        .await
    }
}

fn path(queue: &str) -> String {
    format!("/000000000000/{queue}")
}

/// What is between an element's tags.
fn inside<'a>(xml: &'a str, name: &str) -> &'a str {
    let (start, end) = (format!("<{name}>"), format!("</{name}>"));
    let rest = xml.split_once(&start).unwrap_or_else(|| panic!("{name} in {xml}")).1;
    rest.split_once(&end).unwrap_or_else(|| panic!("{name} in {xml}")).0
}

#[tokio::test]
async fn a_form_creates_a_queue_with_attributes_and_tags() {
    let server = Running::start().await;
    let form = "Action=CreateQueue&QueueName=new&Attribute.1.Name=VisibilityTimeout&Attribute.1.Value=5\
                &Attribute.2.Name=DelaySeconds&Attribute.2.Value=1&Tag.1.Key=team&Tag.1.Value=orders&Version=2012-11-05";
    let answer = server.form("/", form).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("content-type: text/xml\r\n"), "{answer}");
    assert!(
        answer.contains(
            "<?xml version=\"1.0\"?><CreateQueueResponse xmlns=\"http://queue.amazonaws.com/doc/2012-11-05/\">\
             <CreateQueueResult><QueueUrl>http://sqs.example:81/000000000000/new</QueueUrl></CreateQueueResult>\
             <ResponseMetadata><RequestId>"
        ),
        "{answer}"
    );
    let all = format!("{}?Action=GetQueueAttributes&AttributeName.1=All", path("new"));
    let all = server.get(&all).await;
    assert!(all.contains("<Attribute><Name>VisibilityTimeout</Name><Value>5</Value></Attribute>"));
    assert!(all.contains("<Attribute><Name>DelaySeconds</Name><Value>1</Value></Attribute>"));
    let tags = server.form(&path("new"), "Action=ListQueueTags").await;
    assert!(tags.contains("<Tag><Key>team</Key><Value>orders</Value></Tag>"), "{tags}");
}

#[tokio::test]
async fn a_message_goes_round_with_its_attributes_in_xml() {
    let server = Running::start().await;
    let form = "Action=SendMessage&MessageBody=a%0D%3Cb%3E%26%22%C3%A9&MessageAttribute.1.Name=n\
                &MessageAttribute.1.Value.DataType=Number&MessageAttribute.1.Value.StringValue=5\
                &MessageAttribute.2.Name=b&MessageAttribute.2.Value.DataType=Binary&MessageAttribute.2.Value.BinaryValue=AAE%3D";
    let sent = server.form(&path(STANDARD), form).await;
    let received = "Action=ReceiveMessage&MaxNumberOfMessages=10&AttributeName.1=All&MessageAttributeName.1=All&WaitTimeSeconds=0";
    let received = server.form(&path(STANDARD), received).await;
    assert_eq!(inside(&received, "Body"), "a&#xD;&lt;b&gt;&amp;&quot;é");
    assert_eq!(inside(&received, "MD5OfBody"), inside(&sent, "MD5OfMessageBody"));
    let attributes = inside(&sent, "MD5OfMessageAttributes");
    assert_eq!(inside(&received, "MD5OfMessageAttributes"), attributes);
    for part in [
        "<MessageAttribute><Name>n</Name><Value><DataType>Number</DataType><StringValue>5</StringValue></Value></MessageAttribute>",
        "<MessageAttribute><Name>b</Name><Value><BinaryValue>AAE=</BinaryValue><DataType>Binary</DataType></Value></MessageAttribute>",
        "<Attribute><Name>ApproximateReceiveCount</Name><Value>1</Value></Attribute>",
    ] {
        assert!(received.contains(part), "{part} in {received}");
    }
    let handle = inside(&received, "ReceiptHandle").replace('+', "%2B");
    let delete = format!("Action=DeleteMessage&ReceiptHandle={handle}");
    let deleted = server.form(&path(STANDARD), &delete).await;
    assert!(deleted.contains("<DeleteMessageResponse xmlns="), "{deleted}");
    assert!(!deleted.contains("DeleteMessageResult"), "{deleted}");
    let empty = server.form(&path(STANDARD), "Action=ReceiveMessage&WaitTimeSeconds=0").await;
    assert!(empty.contains("<ReceiveMessageResult/>"), "{empty}");
}

#[tokio::test]
async fn entries_of_a_batch_come_in_the_order_of_their_numbers_and_each_has_its_fate() {
    let server = Running::start().await;
    let entries = (1..=10).rev().map(|n| {
        let delay = if n == 3 { "&SendMessageBatchRequestEntry.3.DelaySeconds=5" } else { "" };
        format!(
            "&SendMessageBatchRequestEntry.{n}.Id=e{n}&SendMessageBatchRequestEntry.{n}.MessageBody=body-{n}\
             &SendMessageBatchRequestEntry.{n}.MessageGroupId=g{delay}"
        )
    });
    let form = format!("Action=SendMessageBatch{}", entries.collect::<String>());
    let sent = server.form(&path(FIFO), &form).await;
    assert_eq!(sent.matches("<SendMessageBatchResultEntry>").count(), 9, "{sent}");
    let failed = inside(&sent, "BatchResultErrorEntry");
    assert!(failed.contains("<Id>e3</Id>") && failed.contains("<SenderFault>true</SenderFault>"));
    assert!(failed.contains("<Code>InvalidParameterValue</Code>"), "{failed}");
    let received = "Action=ReceiveMessage&MaxNumberOfMessages=10";
    let received = server.form(&path(FIFO), received).await;
    let bodies: Vec<&str> =
        received.split("<Body>").skip(1).filter_map(|rest| rest.split('<').next()).collect();
    let wanted = [1, 2, 4, 5, 6, 7, 8, 9, 10].map(|n| format!("body-{n}"));
    assert_eq!(bodies, wanted);
}

#[tokio::test]
async fn errors_are_xml_with_the_older_codes() {
    let server = Running::start().await;
    let queue = path(STANDARD);
    for (target, status, parts) in [
        (
            "/000000000000/nowhere?Action=ReceiveMessage".to_owned(),
            "400",
            vec![
                "<ErrorResponse xmlns=\"http://queue.amazonaws.com/doc/2012-11-05/\"><Error><Type>Sender</Type>",
                "<Code>AWS.SimpleQueueService.NonExistentQueue</Code>",
                "<Message>The specified queue does not exist for this wsdl version.</Message><Detail/></Error><RequestId>",
            ],
        ),
        (
            format!("{queue}?Action=SendMessage"),
            "400",
            vec![
                "<Code>MissingParameter</Code>",
                "The request must contain the parameter MessageBody.",
            ],
        ),
        (
            format!("{queue}?Action=FooBar"),
            "400",
            vec![
                "<Code>InvalidAction</Code>",
                "<Message>The action FooBar is not valid for this endpoint.</Message>",
            ],
        ),
        (
            format!("{queue}?Action=CreateQueue&QueueName=x"),
            "400",
            vec!["<Message>The action CreateQueue is not valid for this endpoint.</Message>"],
        ),
        (queue.clone(), "404", vec!["<UnknownOperationException/>"]),
        (
            format!("{queue}?Action=ReceiveMessage&WaitTimeSeconds=x"),
            "400",
            vec!["<Code>InvalidParameterValue</Code>", "WaitTimeSeconds"],
        ),
        (
            format!("{queue}?Action=DeleteMessage&ReceiptHandle=garbage"),
            "404",
            vec!["<Code>ReceiptHandleIsInvalid</Code>"],
        ),
    ] {
        let answer = server.get(&target).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{target}: {answer}");
        for part in parts {
            assert!(answer.contains(part), "{target}: {part} in {answer}");
        }
    }
}

#[tokio::test]
async fn an_empty_list_is_one_without_members() {
    let server = Running::start().await;
    for (form, code) in [
        ("Action=SendMessageBatch&Entries=", "AWS.SimpleQueueService.EmptyBatchRequest"),
        ("Action=TagQueue&Tags=", "MissingParameter"),
    ] {
        let answer = server.form(&path(STANDARD), form).await;
        assert!(answer.contains(&format!("<Code>{code}</Code>")), "{form}: {answer}");
    }
    let none = server.form(&path(STANDARD), "Action=GetQueueAttributes&AttributeNames=").await;
    assert!(none.contains("<GetQueueAttributesResult/>"), "{none}");
}

#[tokio::test]
async fn the_parameter_queue_url_goes_before_the_path() {
    let server = Running::start().await;
    let both =
        format!("{}?Action=SendMessage&MessageBody=x&QueueUrl={}", path(FIFO), path(STANDARD));
    assert!(server.get(&both).await.starts_with("HTTP/1.1 200"));
    assert_eq!(server.handle.queue_counts(STANDARD).unwrap().visible, 1);
}

#[tokio::test]
async fn an_answer_can_be_asked_for_in_json() {
    let server = Running::start().await;
    let get = |action: &str| {
        format!(
            "GET {}?{action} HTTP/1.1\r\nhost: x\r\naccept: application/json\r\nconnection: close\r\n\r\n",
            path(STANDARD)
        )
    };
    server.send(STANDARD, "one").await;
    let received = server.raw(get("Action=ReceiveMessage&WaitTimeSeconds=0")).await;
    assert!(received.contains("content-type: application/json"), "{received}");
    assert!(
        received.contains(r#"{"ReceiveMessageResponse":{"ReceiveMessageResult":{"messages":[{"#)
    );
    let attributes = server.raw(get("Action=GetQueueAttributes&AttributeName=DelaySeconds")).await;
    assert!(attributes.contains(r#""Attributes":[{"Name":"DelaySeconds","Value":"0"}]"#));
    let error = server.raw(get("Action=SendMessage")).await;
    assert!(error.contains(r#""Error":{"Code":"MissingParameter""#), "{error}");
}

#[tokio::test]
async fn names_of_parameters_without_end_are_ignored() {
    let server = Running::start().await;
    let form = format!("Action=ListQueues&{}=1&Unknown.1.Thing=2", "a.".repeat(1_000_000));
    let answer = server.form("/", &form).await;
    assert!(answer.contains("<ListQueuesResponse"), "{}", &answer[..200]);
}

#[tokio::test]
async fn the_x_ray_header_of_a_send_becomes_a_system_attribute() {
    let server = Running::start().await;
    let send = format!(
        "GET {}?Action=SendMessage&MessageBody=one HTTP/1.1\r\nhost: x\r\nx-amzn-trace-id: Root=1-2-3\r\nconnection: close\r\n\r\n",
        path(STANDARD)
    );
    server.raw(send).await;
    let received = server
        .get(&format!("{}?Action=ReceiveMessage&AttributeName=AWSTraceHeader", path(STANDARD)))
        .await;
    assert!(
        received.contains(
            "<Attribute><Name>AWSTraceHeader</Name><Value>Root=1-2-3</Value></Attribute>"
        ),
        "{received}"
    );
}

#[tokio::test]
async fn more_parameters_than_any_operation_takes_are_refused() {
    let server = Running::start().await;
    let parameters = |count: usize| "&x.a.a.a=".repeat(count);
    let answer = server.form("/", &format!("Action=ListQueues{}", parameters(400_000))).await;
    assert!(answer.contains("<Code>InvalidParameterValue</Code>"), "{answer}");
    let answer = server.form("/", &format!("Action=ListQueues{}", parameters(1_900))).await;
    assert!(answer.contains("<ListQueuesResponse"), "{answer}");
}

#[tokio::test]
async fn the_path_of_a_queue_can_be_percent_encoded() {
    let server = Running::start().await;
    let answer = server.form("/000000000000/order-queue%2Efifo", "Action=ListQueueTags").await;
    assert!(answer.contains("<ListQueueTagsResponse"), "{answer}");
}

#[tokio::test]
async fn only_get_and_post_ask_for_an_operation() {
    let server = Running::start().await;
    for method in ["HEAD", "PUT", "DELETE", "OPTIONS"] {
        let target = format!("{}?Action=SendMessage&MessageBody=x", path(STANDARD));
        let request = format!("{method} {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        assert!(server.raw(request).await.starts_with("HTTP/1.1 404"), "{method}");
    }
    assert_eq!(server.handle.queue_counts(STANDARD).unwrap().visible, 0);
}
