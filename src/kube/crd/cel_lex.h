/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* cel_lex - the words of an expression (langdef.md, "Syntax"; names as cel-go's grammar prints them). */
#include "kube/crd/cel_private.h"

/* In the order in which the real server's messages list them. */
#define CEL_TOKENS(X)                                                                                                  \
	X(END, "<EOF>")                                                                                                \
	X(EQUAL, "'=='")                                                                                               \
	X(NOT_EQUAL, "'!='")                                                                                           \
	X(IN, "'in'")                                                                                                  \
	X(LESS, "'<'")                                                                                                 \
	X(LESS_EQUAL, "'<='")                                                                                          \
	X(GREATER_EQUAL, "'>='")                                                                                       \
	X(GREATER, "'>'")                                                                                              \
	X(AND, "'&&'")                                                                                                 \
	X(OR, "'||'")                                                                                                  \
	X(LEFT_BRACKET, "'['")                                                                                         \
	X(RIGHT_BRACKET, "']'")                                                                                        \
	X(LEFT_BRACE, "'{'")                                                                                           \
	X(RIGHT_BRACE, "'}'")                                                                                          \
	X(LEFT_PARENTHESIS, "'('")                                                                                     \
	X(RIGHT_PARENTHESIS, "')'")                                                                                    \
	X(DOT, "'.'")                                                                                                  \
	X(COMMA, "','")                                                                                                \
	X(MINUS, "'-'")                                                                                                \
	X(NOT, "'!'")                                                                                                  \
	X(QUESTION, "'?'")                                                                                             \
	X(COLON, "':'")                                                                                                \
	X(PLUS, "'+'")                                                                                                 \
	X(TIMES, "'*'")                                                                                                \
	X(DIVIDE, "'/'")                                                                                               \
	X(REMAINDER, "'%'")                                                                                            \
	X(TRUE, "'true'")                                                                                              \
	X(FALSE, "'false'")                                                                                            \
	X(NULL, "'null'")                                                                                              \
	X(DOUBLE, "NUM_FLOAT")                                                                                         \
	X(INT, "NUM_INT")                                                                                              \
	X(UINT, "NUM_UINT")                                                                                            \
	X(STRING, "STRING")                                                                                            \
	X(BYTES, "BYTES")                                                                                              \
	X(NAME, "IDENTIFIER")                                                                                          \
	X(QUOTED_NAME, "ESC_IDENTIFIER")

enum cel_token_kind {
#define CEL_TOKEN_ROW(name, text) TOKEN_##name,
	CEL_TOKENS(CEL_TOKEN_ROW)
#undef CEL_TOKEN_ROW
	    TOKEN_COUNT
};

struct cel_token {
	enum cel_token_kind kind;
	uint32_t at, len; /* bytes of the source */
};

/* All words, ended by TOKEN_END; what is none is a fault and left out. NULL when memory ended. */
struct cel_token *cel_lex(struct cel_faults *f, size_t *ret_count);
const char *cel_token_name(enum cel_token_kind kind);

/* What a literal's text means. NULL, or the fault's words. */
const char *cel_string_decode(struct span text, bool is_bytes, struct arena *arena, struct span *ret,
			      struct error *err);
