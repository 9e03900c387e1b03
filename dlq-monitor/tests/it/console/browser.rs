//! A browser: cookies, forms and links of pages.

use std::{cell::RefCell, collections::BTreeMap, net::SocketAddr};

use crate::http::{Answer, call};

/// A browser that keeps its cookies and follows no redirect by itself.
pub(crate) struct Browser {
    addr: SocketAddr,
    cookies: RefCell<BTreeMap<String, String>>,
}

impl Browser {
    pub(crate) fn new(addr: SocketAddr) -> Self {
        Self { addr, cookies: RefCell::default() }
    }

    async fn ask(&self, line: &str, more: &[(&str, &str)], body: &str) -> Answer {
        let kept = self.cookies.borrow().clone();
        let cookies = kept.iter().map(|(name, value)| format!("{name}={value}"));
        let cookies = cookies.collect::<Vec<_>>().join("; ");
        let mut headers = vec![("accept", "text/html"), ("cookie", &*cookies)];
        headers.extend(more);
        let answer = call(self.addr, line, &headers, body.as_bytes()).await;
        let pair = answer.header("set-cookie").and_then(|cookie| cookie.split(';').next());
        if let Some((name, value)) = pair.and_then(|pair| pair.split_once('=')) {
            self.cookies.borrow_mut().insert(name.to_owned(), value.to_owned());
        }
        answer
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path}"), &[], "").await
    }

    /// A page that is there.
    pub(crate) async fn page(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.body
    }

    /// Sends a form, as a page of this server does.
    pub(crate) async fn send(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let origin = format!("http://{}", self.addr);
        self.send_from(&origin, path, fields).await
    }

    /// Sends a form, as a page of this origin does.
    pub(crate) async fn send_from(
        &self,
        origin: &str,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Answer {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields);
        let headers = [("content-type", "application/x-www-form-urlencoded"), ("origin", origin)];
        self.ask(&format!("POST {path}"), &headers, &form.finish()).await
    }

    /// Fills in the form of a page and sends it.
    pub(crate) async fn submit(&self, page: &str, id: &str, typed: &[(&str, &str)]) -> Answer {
        let form = Form::of(page, id);
        let mut fields: Vec<(&str, &str)> =
            form.hidden.iter().map(|(name, value)| (&**name, &**value)).collect();
        fields.extend(typed);
        self.send(&form.action, &fields).await
    }
}

/// A form of a page, with the fields that nobody sees.
pub(crate) struct Form {
    pub(crate) action: String,
    pub(crate) hidden: Vec<(String, String)>,
}

impl Form {
    pub(crate) fn of(page: &str, id: &str) -> Self {
        let start = page.find(&format!("<form id=\"{id}\"")).or_else(|| {
            let at = page.find(&format!(" id=\"{id}\""))?;
            page[..at].rfind("<form")
        });
        let form = &page[start.unwrap_or_else(|| panic!("no form {id}: {page}"))..];
        let form = &form[..form.find("</form>").expect("it ends")];
        let tags = form.split('<').filter(|tag| tag.starts_with("input"));
        let hidden = tags.filter(|tag| tag.contains("type=\"hidden\"")).map(|tag| {
            (attribute(tag, "name").expect("a name"), attribute(tag, "value").expect("a value"))
        });
        Self { action: attribute(form, "action").expect("an action"), hidden: hidden.collect() }
    }

    pub(crate) fn field(&self, name: &str) -> &str {
        let found = self.hidden.iter().find(|(known, _)| known == name);
        found.map_or_else(|| panic!("no field {name}"), |(_, value)| &**value)
    }
}

/// The value of a tag's attribute.
pub(crate) fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    Some(unescaped(rest.split('"').next()?))
}

pub(crate) fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

/// Where a page leads.
pub(crate) fn links(page: &str) -> Vec<String> {
    let tags = page.split('<').filter(|tag| tag.starts_with("a "));
    tags.filter_map(|tag| attribute(tag, "href")).collect()
}
