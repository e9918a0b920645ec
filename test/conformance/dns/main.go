// Command dns answers every question about an IPv4 address with that of the client, on UDP port 53: the "whoami" of
// CoreDNS, which is all that the conformance suite asks its Deployment "coredns" for.
package main

import (
	"log"
	"net"

	"github.com/miekg/dns"
)

func main() {
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, question *dns.Msg) {
		answer := new(dns.Msg).SetReply(question)
		if client, ok := w.RemoteAddr().(*net.UDPAddr); ok && len(question.Question) == 1 {
			header := dns.RR_Header{Name: question.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET}
			answer.Answer = append(answer.Answer, &dns.A{Hdr: header, A: client.IP})
		}
		if err := w.WriteMsg(answer); err != nil {
			log.Print(err)
		}
	})
	log.Fatal((&dns.Server{Addr: ":53", Net: "udp", Handler: handler}).ListenAndServe())
}
