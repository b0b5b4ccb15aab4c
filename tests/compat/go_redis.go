// go-redis against the server on 127.0.0.1 at the port given, whose password is that given. A check that fails ends it with 1.
package main

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"strings"
	"sync"
	"time"

	"gopkg.in/redis.v5"
)

func must(err error) {
	if err != nil {
		log.Panic(err)
	}
}

func same(found, wanted interface{}) {
	if found != wanted {
		log.Panicf("%v instead of %v", found, wanted)
	}
}

func refused(err error, words string) {
	if err == nil || !strings.Contains(err.Error(), words) {
		log.Panicf("%v instead of %q", err, words)
	}
}

func options() *redis.Options {
	return &redis.Options{Addr: "127.0.0.1:" + os.Args[1], Password: os.Args[2], DB: 2}
}

func handshake() {
	stranger := redis.NewClient(&redis.Options{Addr: options().Addr})
	refused(stranger.Get("a").Err(), "NOAUTH")
	must(stranger.Close())
	wrong := options()
	wrong.Password = "wrong"
	liar := redis.NewClient(wrong)
	refused(liar.Ping().Err(), "WRONGPASS")
	must(liar.Close())
}

func values(client *redis.Client) {
	all := make([]byte, 256)
	for n := range all {
		all[n] = byte(n)
	}
	must(client.Set("binary", all, time.Hour).Err())
	back, err := client.Get("binary").Bytes()
	must(err)
	same(bytes.Equal(back, all), true)
	same(client.TTL("binary").Val(), time.Hour)
	large := strings.Repeat("v", 8<<20)
	must(client.Set("large", large, 0).Err())
	same(client.Get("large").Val(), large)
	same(client.Get("nothing").Err(), redis.Nil)
	same(client.SetNX("binary", "x", 0).Val(), false)

	must(client.HMSet("hash", map[string]string{"a": "1", "b": "2"}).Err())
	same(len(client.HGetAll("hash").Val()), 2)
	must(client.RPush("list", "a", "b", "c").Err())
	same(strings.Join(client.LRange("list", 0, -1).Val(), ","), "a,b,c")
	must(client.ZAdd("sorted", redis.Z{Score: 1.5, Member: "m"}, redis.Z{Score: -1, Member: "n"}).Err())
	same(client.ZRangeWithScores("sorted", 0, -1).Val()[1], redis.Z{Score: 1.5, Member: "m"})
}

func pipeline(client *redis.Client) {
	replies, err := client.Pipelined(func(pipe *redis.Pipeline) error {
		for n := 0; n < 1000; n++ {
			pipe.Set(fmt.Sprintf("k:%d", n), n, 0)
			pipe.Incr(fmt.Sprintf("k:%d", n))
		}
		return nil
	})
	must(err)
	same(len(replies), 2000)
	same(replies[1999].(*redis.IntCmd).Val(), int64(1000))
	found, keys := 0, client.Scan(0, "k:*", 100).Iterator()
	for keys.Next() {
		found++
	}
	must(keys.Err())
	same(found, 1000)
}

func errors(client *redis.Client) {
	must(client.Set("text", "x", 0).Err())
	refused(client.Incr("text").Err(), "value is not an integer or out of range")
	refused(client.LPush("text", "x").Err(), "WRONGTYPE")
	_, err := client.Pipelined(func(pipe *redis.Pipeline) error {
		pipe.Set("before", 1, 0)
		pipe.Incr("text")
		pipe.Set("after", 1, 0)
		return nil
	})
	refused(err, "value is not an integer or out of range")
	same(client.MGet("before", "after").Val()[1], "1")
}

func transactionsAndWaits(client *redis.Client) {
	replies, err := client.TxPipelined(func(pipe *redis.Pipeline) error {
		pipe.Set("both", 1, 0)
		pipe.Incr("both")
		return nil
	})
	must(err)
	same(replies[1].(*redis.IntCmd).Val(), int64(2))
	spoilt := client.Watch(func(tx *redis.Tx) error {
		must(client.Set("watched", "x", 0).Err())
		_, err := tx.Pipelined(func(pipe *redis.Pipeline) error {
			pipe.Set("both", 3, 0)
			return nil
		})
		return err
	}, "watched")
	same(spoilt, redis.TxFailedErr)

	popped := make(chan []string)
	go func() { popped <- client.BLPop(0, "queue").Val() }()
	must(client.RPush("queue", "job").Err())
	same(strings.Join(<-popped, ","), "queue,job")
	same(client.BLPop(time.Second, "queue").Err(), redis.Nil)
}

// Sixteen at the same time, over a pool of ten connections.
func messages(client *redis.Client) {
	listener, err := client.Subscribe("news")
	must(err)
	must(listener.PSubscribe("n*"))
	for _, kind := range []string{"subscribe", "psubscribe"} {
		confirmed, err := listener.Receive()
		must(err)
		same(confirmed.(*redis.Subscription).Kind, kind)
	}
	same(client.Publish("news", "a\x00b").Val(), int64(2))
	for _, pattern := range []string{"", "n*"} {
		message, err := listener.ReceiveMessage()
		must(err)
		same(message.Channel+message.Pattern+message.Payload, "news"+pattern+"a\x00b")
	}
	must(listener.Unsubscribe("news"))
	must(listener.Close())
}

func pool(client *redis.Client) {
	var group sync.WaitGroup
	for n := 0; n < 16; n++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for m := 0; m < 100; m++ {
				must(client.Incr("counter").Err())
			}
		}()
	}
	group.Wait()
	same(client.Get("counter").Val(), "1600")
}

func timeoutAndReconnect(client *redis.Client) {
	must(client.Process(redis.NewStatusCmd("CLIENT", "PAUSE", "600000", "WRITE")))
	impatient := options()
	impatient.ReadTimeout = 200 * time.Millisecond
	hasty := redis.NewClient(impatient)
	refused(hasty.Set("held", "back", 0).Err(), "timeout")
	must(client.Process(redis.NewStatusCmd("CLIENT", "UNPAUSE")))
	must(hasty.Close())

	keen := options()
	keen.MaxRetries = 1
	other := redis.NewClient(keen)
	must(other.Set("kept", "x", 0).Err())
	killed := redis.NewIntCmd("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	must(client.Process(killed))
	same(killed.Val() > 0, true)
	same(other.Get("kept").Val(), "x")
	must(other.Close())
}

func main() {
	handshake()
	client := redis.NewClient(options())
	must(client.Ping().Err())
	values(client)
	pipeline(client)
	errors(client)
	transactionsAndWaits(client)
	messages(client)
	pool(client)
	timeoutAndReconnect(client)
	must(client.Close())
	fmt.Println("go-redis v5: all well")
}
