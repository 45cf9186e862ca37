//! Just enough of Rust's lexical grammar to tell code from comments and literals.

use std::iter::Peekable;
use std::str::Chars;

/// What the rules look at: words and signs. Literals are left out, `::` is one sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Word(String),
    Sign(char),
    PathSep,
}

/// A token and its line, from 1.
#[derive(Clone, Debug)]
pub(crate) struct Spot {
    pub(crate) token: Token,
    pub(crate) line: usize,
}

impl Spot {
    pub(crate) fn word(&self) -> Option<&str> {
        if let Token::Word(word) = &self.token { Some(word) } else { None }
    }

    pub(crate) fn is_word(&self, word: &str) -> bool {
        self.word() == Some(word)
    }

    pub(crate) fn is(&self, sign: char) -> bool {
        self.token == Token::Sign(sign)
    }

    pub(crate) fn is_path_sep(&self) -> bool {
        self.token == Token::PathSep
    }
}

/// The tokens of a source text.
pub(crate) fn lex(text: &str) -> Vec<Spot> {
    let mut lexer = Lexer { rest: text.chars().peekable(), line: 1, spots: Vec::new() };
    while let Some(character) = lexer.next() {
        lexer.take(character);
    }
    lexer.spots
}

struct Lexer<'t> {
    rest: Peekable<Chars<'t>>,
    line: usize,
    spots: Vec<Spot>,
}

impl Lexer<'_> {
    fn next(&mut self) -> Option<char> {
        let character = self.rest.next();
        self.line += usize::from(character == Some('\n'));
        character
    }

    fn next_is(&mut self, wanted: char) -> bool {
        self.rest.peek() == Some(&wanted)
    }

    fn push(&mut self, token: Token) {
        self.spots.push(Spot { token, line: self.line });
    }

    fn take(&mut self, character: char) {
        match character {
            '/' if self.next_is('/') => {
                while self.rest.peek().is_some_and(|next| *next != '\n') {
                    self.next();
                }
            }
            '/' if self.next_is('*') => self.block_comment(),
            '"' => self.string(),
            '\'' => self.quote(),
            ':' if self.next_is(':') => {
                self.next();
                self.push(Token::PathSep);
            }
            letter if letter == '_' || letter.is_alphanumeric() => self.word(letter),
            space if space.is_whitespace() => {}
            sign => self.push(Token::Sign(sign)),
        }
    }

    fn block_comment(&mut self) {
        self.next();
        let mut depth = 1;
        while depth > 0 {
            match self.next() {
                Some('/') if self.next_is('*') => (depth, _) = (depth + 1, self.next()),
                Some('*') if self.next_is('/') => (depth, _) = (depth - 1, self.next()),
                None => return,
                Some(_) => {}
            }
        }
    }

    fn string(&mut self) {
        loop {
            match self.next() {
                Some('\\') => {
                    self.next();
                }
                Some('"') | None => return,
                Some(_) => {}
            }
        }
    }

    /// A character (`'a'`, `'\''`) or a lifetime (`'a`).
    fn quote(&mut self) {
        match self.next() {
            Some('\\') => {
                self.next();
                while !matches!(self.next(), Some('\'') | None) {}
            }
            Some(letter) if letter == '_' || letter.is_alphabetic() => {
                while self.rest.peek().is_some_and(|next| *next == '_' || next.is_alphanumeric()) {
                    self.next();
                }
                if self.next_is('\'') {
                    self.next();
                }
            }
            // Any other character, and its closing quote.
            _ => {
                self.next();
            }
        }
    }

    fn word(&mut self, first: char) {
        let mut word = String::from(first);
        while let Some(letter) = self.rest.peek().filter(|next| **next == '_' || next.is_alphanumeric()) {
            word.push(*letter);
            self.next();
        }
        let raw = matches!(word.as_str(), "r" | "br" | "cr");
        match self.rest.peek() {
            Some('"') if raw => self.raw_string(0),
            Some('"') if matches!(word.as_str(), "b" | "c") => {
                self.next();
                self.string();
            }
            Some('#') if raw => self.raw(),
            _ => self.push(Token::Word(word)),
        }
    }

    /// After `r` and before `#`: a raw string, or a raw name such as `r#type`.
    fn raw(&mut self) {
        let mut hashes = 0;
        while self.next_is('#') {
            self.next();
            hashes += 1;
        }
        if self.next_is('"') {
            self.raw_string(hashes);
        }
    }

    fn raw_string(&mut self, hashes: usize) {
        self.next();
        loop {
            match self.next() {
                Some('"') => {
                    let closing = self.rest.clone().take_while(|next| *next == '#').take(hashes).count();
                    if closing == hashes {
                        for _ in 0..hashes {
                            self.next();
                        }
                        return;
                    }
                }
                None => return,
                Some(_) => {}
            }
        }
    }
}
