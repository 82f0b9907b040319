/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* tls_private - what tls.c and tls_client.c share. */
#include <openssl/ssl.h>

#include "net/request.h"

/* The client's certificate, to be freed with free(); NULL when it gave none. */
struct client_certificate *tls_client_read(SSL *ssl, bool is_good);
