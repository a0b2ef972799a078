/*
 * A FIDO token in software, as a provider for OpenSSH (sk-api.h, PROTOCOL.u2f): for tests, which
 * have no token. The key handle is the private key itself; a touch is taken for granted.
 */
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ED25519 1
#define TOUCHED 0x01
#define GENERAL_FAILURE -1

struct enrolled {
    uint8_t flags;
    uint8_t *public_key;
    size_t public_key_len;
    uint8_t *key_handle;
    size_t key_handle_len;
    uint8_t *signature;
    size_t signature_len;
    uint8_t *attestation_cert;
    size_t attestation_cert_len;
    uint8_t *authdata;
    size_t authdata_len;
};

struct signed_ {
    uint8_t flags;
    uint32_t counter;
    uint8_t *sig_r;
    size_t sig_r_len;
    uint8_t *sig_s;
    size_t sig_s_len;
};

uint32_t sk_api_version(void) { return API_VERSION; }

static uint8_t *copy(const void *data, size_t length)
{
    uint8_t *made = malloc(length ? length : 1);
    if (made && length)
        memcpy(made, data, length);
    return made;
}

int sk_enroll(uint32_t alg, const uint8_t *challenge, size_t challenge_len, const char *application,
              uint8_t flags, const char *pin, void **options, struct enrolled **response)
{
    uint8_t public[32], private[32];
    size_t length = sizeof public;
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_id(EVP_PKEY_ED25519, NULL);
    (void)challenge, (void)challenge_len, (void)application, (void)pin, (void)options;

    if (alg != ED25519 || !context || EVP_PKEY_keygen_init(context) != 1 ||
        EVP_PKEY_keygen(context, &key) != 1 ||
        EVP_PKEY_get_raw_public_key(key, public, &length) != 1 ||
        EVP_PKEY_get_raw_private_key(key, private, &length) != 1)
        return GENERAL_FAILURE;
    EVP_PKEY_CTX_free(context);
    EVP_PKEY_free(key);
    if (!(*response = calloc(1, sizeof **response)))
        return GENERAL_FAILURE;
    (*response)->flags = flags;
    (*response)->public_key = copy(public, sizeof public);
    (*response)->public_key_len = sizeof public;
    (*response)->key_handle = copy(private, sizeof private);
    (*response)->key_handle_len = sizeof private;
    (*response)->signature = copy("-", 1);
    (*response)->signature_len = 1;
    return 0;
}

int sk_sign(uint32_t alg, const uint8_t *data, size_t data_len, const char *application,
            const uint8_t *key_handle, size_t key_handle_len, uint8_t flags, const char *pin,
            void **options, struct signed_ **response)
{
    uint8_t message[32 + 1 + 4 + 32] = {0}, signature[64];
    size_t length = sizeof signature;
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, key_handle, key_handle_len);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    (void)flags, (void)pin, (void)options;

    SHA256((const uint8_t *)application, strlen(application), message);
    message[32] = TOUCHED;
    message[36] = 7; /* the counter, big-endian */
    SHA256(data, data_len, message + 37);
    if (alg != ED25519 || !key || !context ||
        EVP_DigestSignInit(context, NULL, NULL, NULL, key) != 1 ||
        EVP_DigestSign(context, signature, &length, message, sizeof message) != 1)
        return GENERAL_FAILURE;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    if (!(*response = calloc(1, sizeof **response)))
        return GENERAL_FAILURE;
    (*response)->flags = TOUCHED;
    (*response)->counter = 7;
    (*response)->sig_r = copy(signature, length);
    (*response)->sig_r_len = length;
    return 0;
}

int sk_load_resident_keys(const char *pin, void **options, void ***keys, size_t *count)
{
    (void)pin, (void)options, (void)keys;
    *count = 0;
    return 0;
}
