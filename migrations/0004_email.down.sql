DROP TABLE email.transport;
DROP TABLE email.mails;
