/* hiredis against the server on 127.0.0.1 at the port given, whose password is that given. A check that fails ends it with 1. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <hiredis/adapters/libevent.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>

#define CHECK(condition)                                                                            \
    do {                                                                                            \
        if (!(condition)) {                                                                         \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                 \
            exit(1);                                                                                \
        }                                                                                           \
    } while (0)

static int port;
static const char *password;

static int says(redisReply *reply, int type, const char *text) {
    int same = reply != NULL && reply->type == type && strcmp(reply->str, text) == 0;
    if (!same && reply != NULL) fprintf(stderr, "it says %d %s\n", reply->type, reply->str ? reply->str : "");
    if (reply != NULL) freeReplyObject(reply);
    return same;
}

static long long number(redisReply *reply) {
    CHECK(reply != NULL && reply->type == REDIS_REPLY_INTEGER);
    long long value = reply->integer;
    freeReplyObject(reply);
    return value;
}

static void authenticate(redisContext *c) {
    CHECK(says(redisCommand(c, "AUTH %s", password), REDIS_REPLY_STATUS, "OK"));
    CHECK(says(redisCommand(c, "SELECT %d", 2), REDIS_REPLY_STATUS, "OK"));
}

static redisContext *connected(void) {
    redisContext *c = redisConnect("127.0.0.1", port);
    CHECK(c != NULL && c->err == 0);
    authenticate(c);
    return c;
}

static void handshake(void) {
    redisContext *c = redisConnect("127.0.0.1", port);
    CHECK(c != NULL && c->err == 0);
    CHECK(says(redisCommand(c, "GET a"), REDIS_REPLY_ERROR, "NOAUTH Authentication required."));
    redisReply *reply = redisCommand(c, "AUTH wrong");
    CHECK(reply != NULL && reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "WRONGPASS", 9) == 0);
    freeReplyObject(reply);
    authenticate(c);
    CHECK(says(redisCommand(c, "PING"), REDIS_REPLY_STATUS, "PONG"));
    redisFree(c);
}

static void pipeline(redisContext *c) {
    for (int n = 0; n < 1000; n++) {
        CHECK(redisAppendCommand(c, "SET k:%d %d", n, n) == REDIS_OK);
        CHECK(redisAppendCommand(c, "INCR k:%d", n) == REDIS_OK);
    }
    for (int n = 0; n < 1000; n++) {
        redisReply *reply;
        CHECK(redisGetReply(c, (void **)&reply) == REDIS_OK && says(reply, REDIS_REPLY_STATUS, "OK"));
        CHECK(redisGetReply(c, (void **)&reply) == REDIS_OK && number(reply) == n + 1);
    }
    redisReply *keys = redisCommand(c, "SCAN 0 MATCH k:* COUNT 10000");
    CHECK(keys->type == REDIS_REPLY_ARRAY && keys->elements == 2);
    CHECK(keys->element[1]->type == REDIS_REPLY_ARRAY && keys->element[1]->elements == 1000);
    freeReplyObject(keys);
}

static void binary(redisContext *c) {
    char all[256];
    for (int n = 0; n < 256; n++) all[n] = (char)n;
    CHECK(says(redisCommand(c, "SET %b %b", all, sizeof all, all, sizeof all), REDIS_REPLY_STATUS, "OK"));
    redisReply *back = redisCommand(c, "GET %b", all, sizeof all);
    CHECK(back->type == REDIS_REPLY_STRING && back->len == sizeof all && memcmp(back->str, all, sizeof all) == 0);
    freeReplyObject(back);

    size_t length = 8 << 20;
    char *large = malloc(length);
    memset(large, 'v', length);
    CHECK(says(redisCommand(c, "SET large %b", large, length), REDIS_REPLY_STATUS, "OK"));
    back = redisCommand(c, "GET large");
    CHECK(back->type == REDIS_REPLY_STRING && back->len == length && memcmp(back->str, large, length) == 0);
    freeReplyObject(back);
    free(large);

    redisReply *nil = redisCommand(c, "GET nothing");
    CHECK(nil->type == REDIS_REPLY_NIL);
    freeReplyObject(nil);
}

static void errors(redisContext *c) {
    CHECK(says(redisCommand(c, "SET text x"), REDIS_REPLY_STATUS, "OK"));
    CHECK(says(redisCommand(c, "INCR text"), REDIS_REPLY_ERROR, "ERR value is not an integer or out of range"));
    CHECK(says(redisCommand(c, "GET"), REDIS_REPLY_ERROR, "ERR wrong number of arguments for 'get' command"));
    CHECK(says(redisCommand(c, "GET text"), REDIS_REPLY_STRING, "x"));
}

/* A transaction that another spoils, one that is done, and a wait for an element that has come and for one that has not. */
static void transactions_and_waits(redisContext *c) {
    redisContext *other = connected();
    for (int spoilt = 1; spoilt >= 0; spoilt--) {
        CHECK(says(redisCommand(c, "WATCH watched"), REDIS_REPLY_STATUS, "OK"));
        if (spoilt) CHECK(says(redisCommand(other, "SET watched x"), REDIS_REPLY_STATUS, "OK"));
        CHECK(says(redisCommand(c, "MULTI"), REDIS_REPLY_STATUS, "OK"));
        CHECK(says(redisCommand(c, "SET both 1"), REDIS_REPLY_STATUS, "QUEUED"));
        CHECK(says(redisCommand(c, "INCR both"), REDIS_REPLY_STATUS, "QUEUED"));
        redisReply *done = redisCommand(c, "EXEC");
        CHECK(done->type == (spoilt ? REDIS_REPLY_NIL : REDIS_REPLY_ARRAY));
        CHECK(spoilt || (done->elements == 2 && done->element[1]->integer == 2));
        freeReplyObject(done);
    }
    CHECK(redisAppendCommand(c, "BLPOP queue 0") == REDIS_OK);
    int written = 0;
    while (!written) CHECK(redisBufferWrite(c, &written) == REDIS_OK);
    CHECK(number(redisCommand(other, "RPUSH queue job")) == 1);
    redisReply *popped;
    CHECK(redisGetReply(c, (void **)&popped) == REDIS_OK && popped->elements == 2);
    CHECK(strcmp(popped->element[1]->str, "job") == 0);
    freeReplyObject(popped);
    popped = redisCommand(c, "BLPOP queue 0.01");
    CHECK(popped->type == REDIS_REPLY_NIL);
    freeReplyObject(popped);
    redisFree(other);
}

/* A write that the server holds back is given up after 0.2 s, and the connection is made again. */
/* What comes next are these strings; the last of them may hold any bytes. */
static void hears(redisContext *c, size_t parts, const char **texts, const char *last, size_t bytes) {
    redisReply *reply;
    CHECK(redisGetReply(c, (void **)&reply) == REDIS_OK);
    CHECK(reply->type == REDIS_REPLY_ARRAY && reply->elements == parts);
    for (size_t n = 0; n + 1 < parts; n++) CHECK(strcmp(reply->element[n]->str, texts[n]) == 0);
    redisReply *end = reply->element[parts - 1];
    if (last == NULL) CHECK(end->type == REDIS_REPLY_INTEGER && end->integer == (long long)bytes);
    else CHECK(end->len == bytes && memcmp(end->str, last, bytes) == 0);
    freeReplyObject(reply);
}

static void messages(redisContext *c) {
    redisContext *listener = connected();
    CHECK(redisAppendCommand(listener, "SUBSCRIBE news") == REDIS_OK);
    hears(listener, 3, (const char *[]){"subscribe", "news"}, NULL, 1);
    CHECK(number(redisCommand(c, "PUBLISH news %b", "a\0b", (size_t)3)) == 1);
    hears(listener, 3, (const char *[]){"message", "news"}, "a\0b", 3);
    CHECK(redisAppendCommand(listener, "PSUBSCRIBE n*") == REDIS_OK);
    hears(listener, 3, (const char *[]){"psubscribe", "n*"}, NULL, 2);
    CHECK(number(redisCommand(c, "PUBLISH news again")) == 2);
    hears(listener, 3, (const char *[]){"message", "news"}, "again", 5);
    hears(listener, 4, (const char *[]){"pmessage", "n*", "news"}, "again", 5);
    CHECK(redisAppendCommand(listener, "UNSUBSCRIBE") == REDIS_OK && redisAppendCommand(listener, "PUNSUBSCRIBE") == REDIS_OK);
    hears(listener, 3, (const char *[]){"unsubscribe", "news"}, NULL, 1);
    hears(listener, 3, (const char *[]){"punsubscribe", "n*"}, NULL, 0);
    CHECK(number(redisCommand(c, "PUBLISH news nobody")) == 0);
    CHECK(says(redisCommand(listener, "GET text"), REDIS_REPLY_STRING, "x"));
    redisFree(listener);
}

static void timeout_and_reconnect(redisContext *c) {
    redisContext *other = connected();
    CHECK(says(redisCommand(other, "CLIENT PAUSE 600000 WRITE"), REDIS_REPLY_STATUS, "OK"));
    CHECK(redisSetTimeout(c, (struct timeval){0, 200000}) == REDIS_OK);
    CHECK(redisCommand(c, "SET held back") == NULL && c->err == REDIS_ERR_IO);
    CHECK(says(redisCommand(other, "CLIENT UNPAUSE"), REDIS_REPLY_STATUS, "OK"));
    CHECK(redisReconnect(c) == REDIS_OK);
    CHECK(redisSetTimeout(c, (struct timeval){60, 0}) == REDIS_OK);
    authenticate(c);
    CHECK(says(redisCommand(c, "SET kept x"), REDIS_REPLY_STATUS, "OK"));

    long long id = number(redisCommand(c, "CLIENT ID"));
    CHECK(number(redisCommand(other, "CLIENT KILL ID %lld", id)) == 1);
    CHECK(redisCommand(c, "PING") == NULL && (c->err == REDIS_ERR_EOF || c->err == REDIS_ERR_IO));
    CHECK(redisReconnect(c) == REDIS_OK);
    authenticate(c);
    CHECK(says(redisCommand(c, "GET kept"), REDIS_REPLY_STRING, "x"));
    redisFree(other);
}

static int answered, ended;

static void on_reply(redisAsyncContext *c, void *reply, void *wanted) {
    CHECK(reply != NULL && ((redisReply *)reply)->type == REDIS_REPLY_INTEGER);
    CHECK(((redisReply *)reply)->integer == (long long)(size_t)wanted && ++answered == (int)(size_t)wanted);
    if (answered == 5000) redisAsyncDisconnect(c);
}

static void on_end(const redisAsyncContext *c, int status) {
    (void)c;
    CHECK(status == REDIS_OK);
    ended = 1;
}

/* Without waiting for any: five thousand under way at the same time, answered in order. */
static void asynchronous(void) {
    struct event_base *base = event_base_new();
    redisAsyncContext *c = redisAsyncConnect("127.0.0.1", port);
    CHECK(c != NULL && c->err == 0);
    CHECK(redisLibeventAttach(c, base) == REDIS_OK);
    CHECK(redisAsyncSetDisconnectCallback(c, on_end) == REDIS_OK);
    redisAsyncCommand(c, NULL, NULL, "AUTH %s", password);
    for (size_t n = 1; n <= 5000; n++) redisAsyncCommand(c, on_reply, (void *)n, "INCR counter");
    event_base_dispatch(base);
    CHECK(answered == 5000 && ended);
    event_base_free(base);
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    port = atoi(argv[1]);
    password = argv[2];
    handshake();
    redisContext *c = connected();
    pipeline(c);
    binary(c);
    errors(c);
    transactions_and_waits(c);
    messages(c);
    timeout_and_reconnect(c);
    redisFree(c);
    asynchronous();
    printf("hiredis %d.%d.%d: all well\n", HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH);
    return 0;
}
