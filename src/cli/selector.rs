//! Label selectors as kubectl's `-l` takes them: `app=web,tier!=db,env in (a, b),!old`.

use crate::snapshot::objects::{Labels, Operator, Requirement, Selector};

use super::CliError;

/// A parsed selector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelFilter(Selector);

impl LabelFilter {
    /// Parses a selector. An empty one matches everything.
    pub fn parse(text: &str) -> Result<Self, CliError> {
        let expressions = parts(text).into_iter().map(|part| requirement(part.trim()));
        let expressions: Option<Vec<_>> = if text.trim().is_empty() { Some(Vec::new()) } else { expressions.collect() };
        match expressions {
            Some(expressions) => Ok(LabelFilter(Selector { expressions, ..Selector::default() })),
            None => Err(CliError::Usage(format!(
                "{text:?} is no label selector: write key=value, key!=value, key, !key, key in (a,b) or key notin (a,b), with commas between"
            ))),
        }
    }

    /// Whether labels satisfy it.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.matches(labels)
    }
}

/// Splits at the commas that stand outside parentheses.
fn parts(text: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    text.split(|c: char| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth <= 0
    })
    .collect()
}

fn requirement(part: &str) -> Option<Requirement> {
    if let Some(key) = part.strip_prefix('!') {
        return checked(key, Operator::DoesNotExist, Vec::new());
    }
    if let Some(inner) = part.strip_suffix(')') {
        let (head, values) = inner.split_once('(')?;
        let mut words = head.split_whitespace();
        let (key, operator) = (words.next()?, words.next()?);
        let operator = match operator {
            "in" => Operator::In,
            "notin" => Operator::NotIn,
            _ => return None,
        };
        let values = values.split(',').map(|v| v.trim().to_owned()).collect();
        return if words.next().is_none() { checked(key, operator, values) } else { None };
    }
    if let Some((key, value)) = part.split_once("!=") {
        return checked(key, Operator::NotIn, vec![value.trim().to_owned()]);
    }
    match part.split_once("==").or_else(|| part.split_once('=')) {
        Some((key, value)) => checked(key, Operator::In, vec![value.trim().to_owned()]),
        None => checked(part, Operator::Exists, Vec::new()),
    }
}

/// A requirement whose key and values have the form that the API demands.
fn checked(key: &str, operator: Operator, values: Vec<String>) -> Option<Requirement> {
    let key = key.trim();
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let valid_prefix =
        prefix.is_none_or(|p| !p.is_empty() && p.len() <= 253 && p.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c)));
    let valid = valid_prefix && !name.is_empty() && is_label(name) && values.iter().all(|v| is_label(v));
    valid.then(|| Requirement { key: key.to_owned(), operator, values })
}

fn is_label(text: &str) -> bool {
    let end = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && end(text.chars().next())
        && end(text.chars().next_back())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(selector: &str) -> bool {
        let labels = [("app".to_owned(), "web".to_owned()), ("shop.test/tier".to_owned(), "front".to_owned())].into();
        LabelFilter::parse(selector).unwrap().matches(&labels)
    }

    #[test]
    fn every_form_that_kubectl_takes_is_understood() {
        for selector in ["", "app", "app=web", "app == web", "app!=db", "!old", "app in (web, db),shop.test/tier notin (back)", "old!=x"] {
            assert!(matches(selector), "{selector}");
        }
        for selector in ["old", "app=db", "app!=web", "!app", "app in (db)", "app notin (web,db)"] {
            assert!(!matches(selector), "{selector}");
        }
    }

    #[test]
    fn what_is_no_selector_is_refused() {
        for selector in [",", "app=web,", "=web", "a b", "app=a=b", "app in", "app in (a", "app like (a)", "-x=a", "/x=a", "app=ü"] {
            assert!(matches!(LabelFilter::parse(selector), Err(CliError::Usage(_))), "{selector}");
        }
    }
}
