//! What a read-back looked at, in words. Most of its targets share them, so each list of words is made once.

use std::sync::Arc;

/// The words of one target; the default: looked for by primary key only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scope(usize);

pub(crate) struct Scopes {
    /// By [`Scope`].
    words: Vec<Vec<String>>,
    /// Which scope another one becomes by its last word.
    longer: Vec<(Scope, Scope)>,
}

impl Scopes {
    pub(crate) fn new() -> Self {
        Self { words: vec![vec!["primary key".to_owned()]], longer: Vec::new() }
    }

    /// What was looked at, and this.
    pub(crate) fn and(&mut self, scope: Scope, word: &str) -> Scope {
        let is_it =
            |longer: &Scope| self.words.get(longer.0).and_then(|w| w.last()).is_some_and(|w| w == word);
        let known = self.longer.iter().find(|(from, to)| *from == scope && is_it(to));
        if let Some((_, known)) = known {
            return *known;
        }
        let mut words = self.words.get(scope.0).cloned().unwrap_or_default();
        words.push(word.to_owned());
        let longer = Scope(self.words.len());
        self.words.push(words);
        self.longer.push((scope, longer));
        longer
    }

    pub(crate) fn told(self) -> Told {
        Told(self.words.into_iter().map(Arc::from).collect())
    }
}

/// The finished lists.
pub(crate) struct Told(Vec<Arc<[String]>>);

impl Told {
    pub(crate) fn of(&self, scope: Scope) -> Arc<[String]> {
        self.0.get(scope.0).map(Arc::clone).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_looked_for_in_the_same_ways_shares_the_words() {
        let mut scopes = Scopes::new();
        let by_mail = scopes.and(Scope::default(), "identity email");
        let by_both = scopes.and(by_mail, "identity customer_id");
        let by_number = scopes.and(Scope::default(), "identity customer_id");
        assert_eq!(scopes.and(Scope::default(), "identity email"), by_mail);
        assert_eq!(scopes.and(by_mail, "identity customer_id"), by_both);
        let told = scopes.told();
        assert_eq!(told.of(Scope::default()).to_vec(), ["primary key"]);
        assert_eq!(told.of(by_both).to_vec(), ["primary key", "identity email", "identity customer_id"]);
        assert_eq!(told.of(by_number).to_vec(), ["primary key", "identity customer_id"]);
    }
}
